"""Samples, their annotations of both kinds, and prediction runs in the API."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Role
from datasets.access import get_dataset
from datasets.models import Annotation, Dataset, Sample
from predictions.models import PredictedObject, PredictionRun
from predictions.record import RECORDED, as_dict
from predictions.runs import delete_run

SOURCES = ("ground_truth", "prediction", "all")
DATASET = OpenApiParameter("dataset_pk", int, OpenApiParameter.PATH, description="Id of the dataset.")


class SampleSerializer(serializers.ModelSerializer):
    split = serializers.CharField(source="split.name", read_only=True)
    has_image = serializers.BooleanField(source="image", read_only=True)

    class Meta:
        model = Sample
        fields = ["id", "external_id", "file_name", "split", "width", "height", "annotation_count", "has_image"]


class SampleFilter(filters.FilterSet):
    split = filters.CharFilter(field_name="split__name", help_text="Name of a split.")
    file_name = filters.CharFilter(lookup_expr="icontains", help_text="Part of the file name.")
    category = filters.CharFilter(method="with_category", help_text="Name of a class that the image has in its ground truth.")

    class Meta:
        model = Sample
        fields = ["split", "file_name", "category"]

    def with_category(self, samples: QuerySet[Sample], name: str, value: str) -> QuerySet[Sample]:
        return samples.filter(Exists(Annotation.objects.filter(sample=OuterRef("pk"), category__name=value)))


@extend_schema_view(
    list=extend_schema(summary="List the images of a dataset", parameters=[DATASET]),
    retrieve=extend_schema(summary="One image of a dataset", parameters=[DATASET]),
)
class SampleViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Images in file order."""

    serializer_class = SampleSerializer
    filterset_class = SampleFilter
    queryset = Sample.objects.none()  # for the schema's types only

    def get_queryset(self) -> QuerySet[Sample]:
        dataset = get_dataset(self.request.user, self.kwargs["dataset_pk"])
        return Sample.objects.filter(dataset=dataset).select_related("split")


class RunSerializer(serializers.ModelSerializer):
    split = serializers.CharField(source="split.name", default=None, read_only=True, allow_null=True)
    record = serializers.SerializerMethodField(help_text="How it was made, as far as it is known.")

    class Meta:
        model = PredictionRun
        fields = ["id", "name", "origin", "split", "prediction_count", "skipped_count", "skipped", "record", "created_at"]

    def get_record(self, run: PredictionRun) -> dict[str, Any]:
        return as_dict(run)


@extend_schema_view(
    list=extend_schema(summary="List the prediction runs of a dataset", parameters=[DATASET]),
    retrieve=extend_schema(summary="One prediction run", parameters=[DATASET]),
    destroy=extend_schema(summary="Delete a prediction run with all it predicted", parameters=[DATASET]),
)
class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet):
    serializer_class = RunSerializer
    queryset = PredictionRun.objects.none()  # for the schema's types only
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[PredictionRun]:
        needed = Role.VIEWER if self.request.method in ("GET", "HEAD", "OPTIONS") else Role.EDITOR
        dataset = get_dataset(self.request.user, self.kwargs["dataset_pk"], needed)
        return PredictionRun.objects.completed().filter(dataset=dataset).select_related(*RECORDED)

    def perform_destroy(self, instance: PredictionRun) -> None:
        delete_run(instance)


class AnnotationSerializer(serializers.Serializer):
    """A label, true or predicted, in one shape."""

    id = serializers.IntegerField()
    source = serializers.ChoiceField(choices=SOURCES[:2])
    run_id = serializers.IntegerField(allow_null=True)
    run = serializers.CharField(allow_null=True)
    category_id = serializers.IntegerField(help_text="Touchstone's id of the class.")
    category_external_id = serializers.CharField(help_text="The file's own id of the class.")
    category_name = serializers.CharField()
    bbox = serializers.ListField(
        child=serializers.FloatField(), allow_null=True, help_text="COCO xywh in pixels; null where there is no box."
    )
    area = serializers.FloatField(allow_null=True)
    is_crowd = serializers.BooleanField()
    confidence = serializers.FloatField(allow_null=True, help_text="Null for ground truth.")
    segmentation = serializers.JSONField(allow_null=True)
    keypoints = serializers.ListField(child=serializers.FloatField(), allow_null=True)


class AnnotationsSerializer(serializers.Serializer):
    sample_id = serializers.IntegerField()
    count = serializers.IntegerField()
    results = AnnotationSerializer(many=True)


class SampleAnnotationsView(APIView):
    """Ground truth and predictions of one image."""

    @extend_schema(
        summary="Ground truth and predictions of one image",
        parameters=[
            DATASET,
            OpenApiParameter("sample_pk", int, OpenApiParameter.PATH, description="Id of the image."),
            OpenApiParameter("source", str, enum=SOURCES, default="all"),
            OpenApiParameter("run", str, description="Id or name of one run; without it, all runs."),
        ],
        responses=AnnotationsSerializer,
    )
    def get(self, request: Request, dataset_pk: int, sample_pk: int) -> Response:
        dataset = get_dataset(request.user, dataset_pk)
        sample = get_object_or_404(Sample, dataset=dataset, pk=sample_pk)
        source = request.query_params.get("source", "all")
        if source not in SOURCES:
            raise ValidationError({"source": f"{source!r} is not one of {', '.join(SOURCES)}."})
        runs = _chosen_runs(dataset, request.query_params.get("run"))
        found = [] if source == "prediction" else [truth_entry(row) for row in _truth(sample)]
        if source != "ground_truth":
            found += [prediction_entry(row) for row in _predicted(sample, runs)]
        return Response(AnnotationsSerializer({"sample_id": sample.pk, "count": len(found), "results": found}).data)


def _chosen_runs(dataset: Dataset, wanted: str | None) -> list[PredictionRun]:
    """The dataset's runs, or the one of that name, else of that id."""
    runs = list(PredictionRun.objects.completed().filter(dataset=dataset))
    if not wanted:
        return runs
    chosen = [run for run in runs if run.name == wanted] or [run for run in runs if str(run.pk) == wanted]
    if not chosen:
        raise ValidationError({"run": f"There is no run {wanted!r} in this dataset."})
    return chosen


def _truth(sample: Sample) -> QuerySet[Annotation]:
    return Annotation.objects.filter(sample=sample).select_related("category")


def _predicted(sample: Sample, runs: list[PredictionRun]) -> QuerySet[PredictedObject]:
    return PredictedObject.objects.filter(run__in=runs, sample=sample).select_related("category", "run")


def truth_entry(row: Annotation) -> dict[str, Any]:
    return {
        **_common(row),
        "source": "ground_truth",
        "run_id": None,
        "run": None,
        "area": row.area,
        "is_crowd": row.is_crowd,
        "confidence": None,
    }


def prediction_entry(row: PredictedObject) -> dict[str, Any]:
    return {
        **_common(row),
        "source": "prediction",
        "run_id": row.run_id,
        "run": row.run.name,
        "area": row.width * row.height if row.area is None and row.width and row.height else row.area,
        "is_crowd": False,
        "confidence": row.score,
    }


def _common(row: Annotation | PredictedObject) -> dict[str, Any]:
    return {
        "id": row.pk,
        "category_id": row.category_id,
        "category_external_id": row.category.external_id,
        "category_name": row.category.name,
        "bbox": None if row.x is None else [row.x, row.y, row.width, row.height],
        "segmentation": row.segmentation,
        "keypoints": row.keypoints,
    }
