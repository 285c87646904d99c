"""Inference in the API: one image, a batch, a dataset's split; jobs and their results."""

from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db.models import QuerySet
from django.http import Http404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import exceptions, generics, serializers, status
from rest_framework.filters import OrderingFilter
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import require_role
from accounts.models import Project, Role, User
from datasets.access import get_dataset
from datasets.models import JobStatus, Sample
from datasets.uploads import store_file
from datasets.workers import is_served
from inference import choosing, jobs, results
from inference.access import get_job
from inference.models import InferenceJob, InferenceKind, InferenceResult, ResultState
from inference.requests import NewImage, RequestRefused
from inference.settings_api import SettingsSerializer, asked_settings, class_mapping_field
from predictions import training
from predictions.models import Checkpoint, TrainingJob

# A single image is waited for so long, seconds; then its job is the answer.
PATIENCE = 20.0
MOST_SAMPLES = 10_000


class WhichCheckpointSerializer(SettingsSerializer):
    """One of a training job (`training_job_id`, with `checkpoint`), or one by its id (`checkpoint_id`)."""

    training_job_id = serializers.CharField(required=False, max_length=120, help_text="The training job's own id.")
    checkpoint = serializers.CharField(
        default="best", max_length=40, help_text="Of the training job: `best` by its metric, `last`, or an epoch's number."
    )
    checkpoint_id = serializers.IntegerField(required=False)
    project = serializers.CharField(
        required=False, max_length=120, help_text="Slug, where several of your projects have a training job of that id."
    )


class SingleRequestSerializer(WhichCheckpointSerializer):
    image = serializers.FileField(max_length=1000)


class BatchRequestSerializer(WhichCheckpointSerializer):
    """Exactly one of `images` (many files), `archive` (a ZIP) and `sample_ids`."""

    images = serializers.ListField(child=serializers.FileField(max_length=1000), required=False)
    archive = serializers.FileField(required=False, max_length=1000, help_text="A ZIP of images.")
    sample_ids = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        max_length=MOST_SAMPLES,
        help_text="Ids of images of the checkpoint's project.",
    )


class SamplesRequestSerializer(WhichCheckpointSerializer):
    sample_ids = serializers.ListField(child=serializers.IntegerField(), max_length=MOST_SAMPLES)


class DatasetRequestSerializer(WhichCheckpointSerializer):
    class_mapping = class_mapping_field()
    dataset = serializers.IntegerField(help_text="Id of the dataset.")
    split = serializers.CharField(max_length=60)
    name = serializers.CharField(
        default="", allow_blank=True, max_length=120, help_text="Of the prediction run; one that is taken gets a number."
    )


class InferenceJobSerializer(serializers.ModelSerializer):
    project = serializers.CharField(source="project.slug", read_only=True)
    checkpoint = serializers.CharField(source="checkpoint.__str__", read_only=True)
    dataset_id = serializers.IntegerField(read_only=True, allow_null=True)
    split = serializers.CharField(source="split.name", default=None, read_only=True, allow_null=True)
    run_id = serializers.SerializerMethodField(help_text="The prediction run, once it is complete.")
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True, allow_null=True)
    settings = serializers.DictField(read_only=True)
    images_per_second = serializers.FloatField(read_only=True, allow_null=True)
    seconds_left = serializers.FloatField(read_only=True, allow_null=True)
    waiting = serializers.SerializerMethodField(
        help_text="Why a pending job has not begun: `no_worker` (it is kept until one comes), `queue`, or nothing yet."
    )
    lacking = serializers.SerializerMethodField(help_text="Objects of classes that the dataset lacks, by class name.")

    class Meta:
        model = InferenceJob
        fields = [
            "id", "project", "kind", "name", "status", "checkpoint_id", "checkpoint", "dataset_id", "split", "run_id", "settings",
            "image_count", "done_count", "failed_count", "progress_done", "progress_total", "images_per_second", "seconds_left",
            "device", "batch_size", "waiting", "lacking", "error", "created_by", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_run_id(self, job: InferenceJob) -> int | None:
        return job.run_id if job.status == JobStatus.COMPLETED else None

    @extend_schema_field(serializers.ChoiceField(choices=["", "no_worker", "queue"]))
    def get_waiting(self, job: InferenceJob) -> str:
        return jobs.waiting(job)

    def get_lacking(self, job: InferenceJob) -> dict[str, int]:
        return job.report.get("lacking", {})


class ChoiceSerializer(serializers.Serializer):
    label = serializers.CharField()
    confidence = serializers.FloatField()


class FoundObjectSerializer(serializers.Serializer):
    label = serializers.CharField()
    label_id = serializers.IntegerField()
    confidence = serializers.FloatField()
    bbox = serializers.ListField(child=serializers.FloatField(), help_text="xywh in pixels of the upright image.")
    segmentation = serializers.DictField(allow_null=True, help_text="The mask as COCO's RLE.")
    keypoints = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="x, y, confidence; pixels.")


class InferenceResultSerializer(serializers.Serializer):
    """What a checkpoint said of an image. Times are milliseconds."""

    id = serializers.IntegerField()
    job_id = serializers.IntegerField()
    position = serializers.IntegerField()
    name = serializers.CharField()
    sample_id = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=ResultState.choices)
    error = serializers.CharField(help_text="Why there is no answer, where there is none.")
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    label = serializers.CharField(help_text="The first choice, or that of the surest object.")
    label_id = serializers.IntegerField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    top = ChoiceSerializer(many=True)
    objects = FoundObjectSerializer(many=True)
    object_count = serializers.IntegerField()
    preprocess_ms = serializers.FloatField(allow_null=True)
    inference_ms = serializers.FloatField(allow_null=True)
    postprocess_ms = serializers.FloatField(allow_null=True)
    visualization = serializers.CharField(help_text="Address of the annotated picture.")


def chosen_checkpoint(user: User, wanted: dict[str, Any]) -> Checkpoint:
    """The one that a request means, of a project that the user edits. 404 with what exists, where there is none."""
    if ("training_job_id" in wanted) == ("checkpoint_id" in wanted):
        raise exceptions.ValidationError({"checkpoint_id": "Send either checkpoint_id or training_job_id."})
    if "training_job_id" in wanted:
        return choosing.resolve(_training_job(user, wanted), wanted["checkpoint"])
    visible = Checkpoint.objects.visible_to(user).runnable().select_related("project")
    found = visible.filter(pk=wanted["checkpoint_id"]).first()
    if found is None:
        known = choosing.in_words(visible)
        raise exceptions.NotFound(f"There is no checkpoint {wanted['checkpoint_id']} to run. There are: {known}.")
    require_role(user, found.project, Role.EDITOR)
    return found


def _training_job(user: User, wanted: dict[str, Any]) -> TrainingJob:
    try:
        return training.find_job(user, wanted["training_job_id"], Role.EDITOR, wanted.get("project", ""))
    except Http404:
        newest = TrainingJob.objects.visible_to(user).order_by("-pk").values_list("job_id", flat=True)[:10]
        raise exceptions.NotFound(
            f"There is no training job '{wanted['training_job_id']}'. There are: {', '.join(newest) or 'none yet'}."
        ) from None


def as_images(files: list[TemporaryUploadedFile]) -> list[NewImage]:
    return [NewImage(file.name or "image", Path(file.temporary_file_path())) for file in files]


def checked(form: serializers.Serializer) -> dict[str, Any]:
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class SingleView(APIView):
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(
        operation_id="inference_single",
        summary="Ask a checkpoint about one image",
        description="Waits for the answer (200); where no worker gives it in time, the job comes back (202) and goes on.",
        request={"multipart/form-data": SingleRequestSerializer},
        responses={200: InferenceResultSerializer, 202: InferenceJobSerializer},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(SingleRequestSerializer(data=request.data))
        checkpoint = chosen_checkpoint(request.user, wanted)
        (image,) = as_images([wanted["image"]])
        job = jobs.start_single(request.user, checkpoint, image, asked_settings(wanted))
        if not _is_answered(job):
            return accepted(job)
        result = InferenceResult.objects.select_related("job", "sample").get(job=job)
        if job.status != JobStatus.COMPLETED:
            raise RequestRefused(job.error, files={result.name: result.error} if result.error else None)
        return Response(InferenceResultSerializer(with_address(request, result)).data)


def _is_answered(job: InferenceJob) -> bool:
    """Nobody waits long where no worker could answer."""
    soon = jobs.UNREMARKABLE.total_seconds()
    return jobs.wait_for(job, soon) or (is_served("gpu") and jobs.wait_for(job, PATIENCE - soon))


def with_address(request: Request, result: InferenceResult) -> dict[str, Any]:
    found = results.as_dict(result)
    return found | {"visualization": request.build_absolute_uri(found["visualization"])}


def accepted(job: InferenceJob) -> Response:
    return Response(InferenceJobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class BatchView(APIView):
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(
        operation_id="inference_batch",
        summary="Ask a checkpoint about many images",
        request={"multipart/form-data": BatchRequestSerializer, "application/json": SamplesRequestSerializer},
        responses={202: InferenceJobSerializer},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(BatchRequestSerializer(data=request.data))
        sources = [name for name in ("images", "archive", "sample_ids") if wanted.get(name)]
        if len(sources) != 1:
            raise exceptions.ValidationError({"images": "Send exactly one of images, archive and sample_ids."})
        checkpoint, settings = chosen_checkpoint(request.user, wanted), asked_settings(wanted)
        if sources == ["images"]:
            return accepted(jobs.start_batch(request.user, checkpoint, as_images(wanted["images"]), settings))
        if sources == ["archive"]:
            upload = store_file(request.user, checkpoint.project, wanted["archive"])
            return accepted(jobs.start_archive(request.user, checkpoint, upload, settings))
        samples = named_samples(checkpoint.project, wanted["sample_ids"])
        return accepted(jobs.start_samples(request.user, checkpoint, samples, settings))


def named_samples(project: Project, keys: list[int]) -> list[Sample]:
    """In the order given, of the project that will see the results. Raises RequestRefused, which names those that it lacks."""
    found = Sample.objects.filter(dataset__project=project).in_bulk(keys)
    if missing := [str(key) for key in keys if key not in found]:
        raise RequestRefused(
            f"There are no samples {', '.join(missing[:20])}.",
            f"Name images of {project}, where the checkpoint is. List them: GET /api/datasets/{{id}}/samples/.",
        )
    return [found[key] for key in keys]


class JobFilter(filters.FilterSet):
    project = filters.CharFilter(field_name="project__slug", help_text="Slug of a project.")
    status = filters.ChoiceFilter(choices=JobStatus.choices)
    kind = filters.ChoiceFilter(choices=InferenceKind.choices)
    checkpoint = filters.NumberFilter(field_name="checkpoint_id", help_text="Id of a checkpoint.")
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte", help_text="Asked for at or after this time.")

    class Meta:
        model = InferenceJob
        fields = ["project", "status", "kind", "checkpoint", "since"]


class JobListView(generics.ListAPIView):
    """Inference jobs of your projects, newest first."""

    serializer_class = InferenceJobSerializer
    filter_backends = [filters.DjangoFilterBackend, OrderingFilter]
    filterset_class = JobFilter
    ordering, ordering_fields = ["-id"], ["id"]
    parser_classes = [JSONParser, MultiPartParser]
    queryset = InferenceJob.objects.none()  # for the schema's types only

    def get_queryset(self) -> QuerySet[InferenceJob]:
        jobs = InferenceJob.objects.visible_to(self.request.user)
        return jobs.select_related("project", "checkpoint", "split", "created_by")

    @extend_schema(operation_id="inference_jobs_list", summary="List inference jobs")
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="inference_jobs_create",
        summary="Run a checkpoint over a dataset's split",
        description="Its predictions become a run of origin `inference`, which is seen once it is complete.",
        request=DatasetRequestSerializer,
        responses={202: InferenceJobSerializer},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(DatasetRequestSerializer(data=request.data))
        dataset = get_dataset(request.user, wanted["dataset"], Role.EDITOR)
        checkpoint = chosen_checkpoint(request.user, wanted)
        split = dataset.splits.filter(name=wanted["split"]).first()
        if split is None:
            known = ", ".join(dataset.splits.values_list("name", flat=True))
            raise exceptions.NotFound(f"{dataset.name} has no split {wanted['split']!r}. It has: {known or 'none yet'}.")
        return accepted(
            jobs.start_dataset(request.user, checkpoint, dataset, split, asked_settings(wanted), name=wanted["name"])
        )


class JobView(APIView):
    @extend_schema(operation_id="inference_jobs_retrieve", summary="One inference job", responses=InferenceJobSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return Response(InferenceJobSerializer(get_job(request.user, pk)).data)

    @extend_schema(
        operation_id="inference_jobs_delete",
        summary="Delete an inference job with its results and images",
        description="A prediction run that it completed stays with its dataset.",
        responses={204: None},
    )
    def delete(self, request: Request, pk: int) -> Response:
        jobs.delete_job(get_job(request.user, pk, Role.EDITOR))
        return Response(status=status.HTTP_204_NO_CONTENT)


class CancelView(APIView):
    @extend_schema(
        operation_id="inference_jobs_cancel",
        summary="Cancel an inference job that has not ended",
        request=None,
        responses={202: InferenceJobSerializer},
    )
    def post(self, request: Request, pk: int) -> Response:
        job = get_job(request.user, pk, Role.EDITOR)
        jobs.cancel(job)
        return accepted(job)


class ResultsView(generics.ListAPIView):
    """Results in the order of the images."""

    serializer_class = InferenceResultSerializer
    filter_backends: list[Any] = []
    queryset = InferenceResult.objects.none()  # for the schema's types only

    @extend_schema(
        operation_id="inference_results_list",
        summary="Results of an inference job",
        parameters=[
            OpenApiParameter("label", str, description="Only images of which the model says this class."),
            OpenApiParameter("confidence", float, description="Only images whose first choice is at least so sure."),
            OpenApiParameter("state", str, enum=ResultState.values),
        ],
    )
    def get(self, request: Request, pk: int) -> Response:
        job = get_job(request.user, pk)
        asked = request.query_params
        try:
            confidence = float(asked.get("confidence") or 0)
        except ValueError:
            raise exceptions.ValidationError({"confidence": f"{asked['confidence']!r} is not a number."}) from None
        rows = results.selected(job, label=asked.get("label", ""), confidence=confidence, state=asked.get("state", ""))
        page = self.paginate_queryset(rows.order_by())
        for row in page:
            row.job = job
        return self.get_paginated_response([with_address(request, row) for row in page])
