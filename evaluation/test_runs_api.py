"""Test runs in the API: made, read, looked into, exported, compared."""

from typing import Any, cast

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.filters import OrderingFilter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import require_role
from accounts.models import Role, User
from datasets.access import get_dataset
from datasets.models import Dataset, JobStatus, Split
from evaluation import exports, image_results, shown_objects, stored_matches, test_comparison, test_jobs, test_runs
from evaluation import test_runs_serializers as shapes
from evaluation.access import HEAVY, WITH, get_for_matches, get_test_run
from evaluation.image_results import Wanted
from evaluation.metrics.matches import ErrorType
from evaluation.models import TestRun
from evaluation.stored_matches import BACKGROUND, confidence_of
from evaluation.test_runs import Asked
from inference.jobs_api import chosen_checkpoint
from inference.settings_api import asked_settings
from predictions import training
from predictions.models import PredictionRun, PredictionSetVersion
from predictions.training_api import JOB_ID, PROJECT


def checked(form: serializers.Serializer) -> dict[str, Any]:
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class TestRunFilter(filters.FilterSet):
    __test__ = False

    project = filters.CharFilter(field_name="project__slug", help_text="Slug of a project.")
    dataset = filters.NumberFilter(field_name="dataset", help_text="Id of a dataset.")
    prediction_run = filters.NumberFilter(field_name="prediction_run", help_text="Id of a prediction run.")
    training_job_id = filters.CharFilter(field_name="training_job__job_id", help_text="The training job's own id.")
    status = filters.ChoiceFilter(choices=JobStatus.choices)

    class Meta:
        model = TestRun
        fields = ["project", "dataset", "prediction_run", "training_job_id", "status"]


def rows_for(user: User) -> "QuerySet[TestRun]":
    """For lists: without the tables that only a page of its own shows."""
    return TestRun.objects.visible_to(user).select_related(*WITH, "created_by").defer(*HEAVY)


class TestRunListView(generics.ListAPIView):
    """Test runs of your projects, newest first."""

    serializer_class = shapes.TestRunRowSerializer
    filter_backends = [filters.DjangoFilterBackend, OrderingFilter]
    filterset_class = TestRunFilter
    ordering, ordering_fields = ["-id"], ["id"]
    queryset = TestRun.objects.none()  # for the schema's types only

    def get_queryset(self) -> "QuerySet[TestRun]":
        return rows_for(self.request.user)

    @extend_schema(operation_id="test_runs_list", summary="List test runs")
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="test_runs_create",
        summary="Hold predictions against ground truth",
        description="Of a prediction run that is there, or of a checkpoint, which is asked first; the test goes on by itself then.",
        request=shapes.TestRunRequestSerializer,
        responses={202: shapes.TestRunSerializer},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(shapes.TestRunRequestSerializer(data=request.data))
        with transaction.atomic():
            test_run = _from_run(request.user, wanted) if "prediction_run" in wanted else _from_checkpoint(request.user, wanted)
        return accepted(get_test_run(request.user, test_run.pk))


def _from_run(user: User, wanted: dict[str, Any]) -> TestRun:
    visible = PredictionRun.objects.visible_to(user).completed().of_images().select_related("project", "dataset", "split")
    run = get_object_or_404(visible, pk=wanted["prediction_run"])
    require_role(user, run.project, Role.EDITOR)
    return test_jobs.start_from_run(user, run, _asked(user, wanted, cast(Dataset, run.dataset)))


def _from_checkpoint(user: User, wanted: dict[str, Any]) -> TestRun:
    missing = [name for name in ("dataset", "dataset_split") if name not in wanted]
    if missing or ("training_job_id" in wanted) == ("checkpoint_id" in wanted):
        raise serializers.ValidationError(
            dict.fromkeys(missing, "Needed where there is no prediction_run.")
            or {"checkpoint_id": "Send a prediction_run, or either checkpoint_id or training_job_id."}
        )
    dataset = get_dataset(user, wanted["dataset"], Role.EDITOR)
    checkpoint = chosen_checkpoint(user, wanted)
    asked = _asked(user, wanted, dataset)
    settings = asked_settings(wanted.get("inference", {}))
    return test_jobs.start_from_checkpoint(user, checkpoint, dataset, cast(Split, asked.split), asked, settings)


def _asked(user: User, wanted: dict[str, Any], dataset: Dataset) -> Asked:
    split = None
    if "dataset_split" in wanted:
        split = dataset.splits.filter(name=wanted["dataset_split"]).first()
        if split is None:
            known = ", ".join(dataset.splits.values_list("name", flat=True)) or "none yet"
            raise serializers.ValidationError({"dataset_split": f"There is no such split. {dataset.name} has: {known}."})
    version = None
    if "set_version" in wanted:
        visible = PredictionSetVersion.objects.filter(prediction_set__project__memberships__user=user)
        version = get_object_or_404(visible.select_related("prediction_set"), pk=wanted["set_version"])
    return Asked(wanted["name"], split, version, wanted["protocol"], wanted["rules"], wanted["task_type"])


def accepted(test_run: TestRun) -> Response:
    return Response(shapes.TestRunSerializer(test_run).data, status=status.HTTP_202_ACCEPTED)


class TestRunView(APIView):
    @extend_schema(
        operation_id="test_runs_retrieve", summary="One test run, with all figures", responses=shapes.TestRunSerializer
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(shapes.TestRunSerializer(get_test_run(request.user, pk)).data)

    @extend_schema(
        operation_id="test_runs_delete",
        summary="Delete a test run with all results",
        description="The predictions stay.",
        responses={204: None},
    )
    def delete(self, request: Request, pk: int) -> Response:
        test_runs.delete(get_test_run(request.user, pk, Role.EDITOR))
        return Response(status=status.HTTP_204_NO_CONTENT)


class CancelView(APIView):
    @extend_schema(
        operation_id="test_runs_cancel",
        summary="Cancel a test run that has not ended",
        request=None,
        responses={202: shapes.TestRunSerializer},
    )
    def post(self, request: Request, pk: int) -> Response:
        test_run = get_test_run(request.user, pk, Role.EDITOR)
        test_jobs.cancel(test_run)
        return accepted(test_run)


class RetryView(APIView):
    @extend_schema(
        operation_id="test_runs_retry",
        summary="Try a failed or cancelled test run again",
        request=None,
        responses={202: shapes.TestRunSerializer},
    )
    def post(self, request: Request, pk: int) -> Response:
        test_run = get_test_run(request.user, pk, Role.EDITOR)
        test_jobs.retry(test_run)
        return accepted(test_run)


class JobTestRunsView(APIView):
    @extend_schema(
        operation_id="training_jobs_test_runs",
        summary="Test runs of a training job, newest first",
        parameters=[JOB_ID, PROJECT, shapes.PageSerializer],
        responses=shapes.JobTestRunsSerializer,
    )
    def get(self, request: Request, job_id: str) -> Response:
        wanted = checked(shapes.PageSerializer(data=request.query_params))
        job = training.find_job(request.user, job_id, Role.VIEWER, request.query_params.get("project", ""))
        found = rows_for(request.user).filter(training_job=job)
        told = {"total_count": found.count(), "runs": found[wanted["offset"] : wanted["offset"] + wanted["limit"]]}
        return Response(shapes.JobTestRunsSerializer(told).data)


# --- Looking into one --------------------------------------------------------------------------------------------------
def class_place(test_run: TestRun, wanted: str | None, field: str, *, or_background: bool = False) -> int | None:
    """A class by its place or its name; None where none is asked for. Raises ValidationError."""
    if wanted is None:
        return None
    if wanted.lstrip("-").isdecimal():
        place = int(wanted)
        if 0 <= place < len(test_run.class_names) or (or_background and place == BACKGROUND):
            return place
    if wanted in test_run.class_names:
        return test_run.class_names.index(wanted)
    raise serializers.ValidationError({field: f"{wanted!r} is no class of this test run."})


def error_of(name: str | None) -> ErrorType | None:
    return ErrorType[name.upper()] if name else None


class ImagesView(APIView):
    @extend_schema(
        operation_id="test_run_images",
        summary="Images of a test run, with what is true and what was predicted",
        parameters=[shapes.ImagesRequestSerializer],
        responses=shapes.ImageResultsSerializer,
    )
    def get(self, request: Request, pk: int) -> Response:
        test_run = get_for_matches(request.user, pk)
        asked = checked(shapes.ImagesRequestSerializer(data=request.query_params))
        wanted = Wanted(
            true_class=class_place(test_run, asked["true_class"], "true_class"),
            predicted_class=class_place(test_run, asked["predicted_class"], "predicted_class"),
            is_correct=asked["is_correct"],
            least_confidence=asked["min_confidence"],
            most_confidence=asked["max_confidence"],
            error=error_of(asked["error"]),
            sort=asked["sort"],
        )
        found = image_results.chosen(test_run, wanted)
        rows = image_results.page(test_run, found, asked["offset"], asked["limit"], asked["objects_from"])
        return Response(image_results.counts(found) | {"results": rows})


class OperatingPointView(APIView):
    @extend_schema(
        operation_id="test_run_operating_point",
        summary="Counts, precision, recall, F1, confusion and errors above a confidence",
        parameters=[shapes.ConfidenceSerializer],
        responses=shapes.OperatingPointSerializer,
    )
    def get(self, request: Request, pk: int) -> Response:
        test_run = get_for_matches(request.user, pk)
        asked = checked(shapes.ConfidenceSerializer(data=request.query_params))
        return Response(stored_matches.operating_point(test_run, confidence_of(test_run, asked["confidence"])))


class ConfusionCellView(APIView):
    @extend_schema(
        operation_id="test_run_confusion",
        summary="What one cell of the confusion matrix counts",
        parameters=[shapes.CellRequestSerializer],
        responses=shapes.ObjectEntriesSerializer,
    )
    def get(self, request: Request, pk: int) -> Response:
        test_run = get_for_matches(request.user, pk)
        asked = checked(shapes.CellRequestSerializer(data=request.query_params))
        confidence = confidence_of(test_run, asked["confidence"])
        true = class_place(test_run, asked["true"], "true", or_background=True)
        predicted = class_place(test_run, asked["predicted"], "predicted", or_background=True)
        found = stored_matches.cell(test_run, cast(int, true), cast(int, predicted), confidence)
        return objects_answer(test_run, found, confidence, asked)


class ObjectsView(APIView):
    @extend_schema(
        operation_id="test_run_objects",
        summary="Right predictions, wrong ones, or objects not found",
        parameters=[shapes.ObjectsRequestSerializer],
        responses=shapes.ObjectEntriesSerializer,
    )
    def get(self, request: Request, pk: int) -> Response:
        test_run = get_for_matches(request.user, pk)
        asked = checked(shapes.ObjectsRequestSerializer(data=request.query_params))
        confidence = confidence_of(test_run, asked["confidence"])
        category = class_place(test_run, asked["class"], "class")
        found = stored_matches.gallery(test_run, asked["outcome"], confidence, category, error_of(asked["error"]))
        return objects_answer(test_run, found, confidence, asked)


def objects_answer(test_run: TestRun, found: stored_matches.Found, confidence: float, asked: dict[str, Any]) -> Response:
    rows = shown_objects.entries(test_run, found.part(asked["offset"], asked["limit"]))
    return Response({"confidence": confidence, "total_count": len(found), "results": rows})


class ThresholdsView(APIView):
    @extend_schema(
        operation_id="test_run_thresholds",
        summary="The confidence of the best F1, of each class and of all",
        responses=shapes.ThresholdsSerializer,
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(stored_matches.thresholds(get_for_matches(request.user, pk)))


class ReconciliationView(APIView):
    @extend_schema(
        operation_id="test_run_reconciliation",
        summary="The same predictions under other protocols, rule by rule",
        responses={
            200: shapes.ReconciliationSerializer,
            202: OpenApiResponse(shapes.TestRunRowSerializer, "It is being made: ask again."),
        },
    )
    def get(self, request: Request, pk: int) -> Response:
        rows = TestRun.objects.visible_to(request.user).select_related(*WITH, "created_by").defer("replicates")
        test_run = get_object_or_404(rows, pk=pk)
        found = test_jobs.reconciliation_of(test_run)
        if found is None:
            return Response(shapes.TestRunRowSerializer(test_run).data, status=status.HTTP_202_ACCEPTED)
        return Response(shapes.ReconciliationSerializer(found).data)


class ExportView(APIView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """`format` names the export here, not the shape of DRF's answer."""
        return JSONRenderer(), "application/json"

    @extend_schema(
        operation_id="test_run_export",
        summary="A test run as a file",
        description="`csv`, `json`, `parquet`: a row per image. `coco`: the predictions as COCO results. `errors`: every wrong "
        "prediction and every object not found.",
        parameters=[OpenApiParameter("format", str, enum=list(exports.FORMATS), required=True)],
        responses={(200, kind): OpenApiTypes.BINARY for kind in {kind for kind, _, _ in exports.FORMATS.values()}},
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        test_run = get_test_run(request.user, pk)
        asked = checked(shapes.ExportRequestSerializer(data=request.query_params))
        content_type, ending, make = exports.FORMATS[asked["format"]]
        stored_matches.check_completed(test_run)
        answer = StreamingHttpResponse(make(test_run), content_type=content_type)
        answer["Content-Disposition"] = f'attachment; filename="test-run-{test_run.pk}-{ending}"'
        return answer


# --- Two of them -------------------------------------------------------------------------------------------------------
class CompareTestsView(APIView):
    @extend_schema(
        operation_id="test_runs_compare",
        summary="Two test runs side by side",
        parameters=[shapes.CompareTestsRequestSerializer],
        responses=shapes.TestComparisonSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = checked(shapes.CompareTestsRequestSerializer(data=request.query_params))
        baseline, candidate = both_of(request.user, asked)
        return Response({"baseline": baseline.pk, "candidate": candidate.pk, **test_comparison.compare(baseline, candidate)})


class ChangedObjectsView(APIView):
    @extend_schema(
        operation_id="test_runs_compare_objects",
        summary="Objects fixed, broken, right or wrong in both of two test runs",
        parameters=[shapes.ChangedObjectsRequestSerializer],
        responses=shapes.ChangedObjectsSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = checked(shapes.ChangedObjectsRequestSerializer(data=request.query_params))
        baseline, candidate = both_of(request.user, asked)
        confidences = (
            confidence_of(baseline, asked["baseline_confidence"]),
            confidence_of(candidate, asked["candidate_confidence"]),
        )
        found = test_comparison.object_changes(baseline, candidate, *confidences)
        positions = found.of(asked["kind"], class_place(candidate, asked["class"], "class"))
        shown = positions[asked["offset"] : asked["offset"] + asked["limit"]]
        rows = shown_objects.changed_entries(baseline, candidate, found, shown, confidences)
        return Response({"total_count": len(positions), "results": rows})


def both_of(user: User, asked: dict[str, Any]) -> tuple[TestRun, TestRun]:
    """Raises Http404 where one is not for this user to see."""
    rows = TestRun.objects.visible_to(user).select_related(*WITH)
    found = rows.in_bulk([asked["baseline"], asked["candidate"]])
    if not {asked["baseline"], asked["candidate"]} <= found.keys():
        raise Http404
    return found[asked["baseline"]], found[asked["candidate"]]
