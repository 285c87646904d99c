"""Sending predictions to the API: small files at once, large ones as an import to be asked about."""

import zipfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Role
from datasets.access import get_dataset
from datasets.importers.problems import REASONS, ImportRefused
from datasets.imports_api import (
    DATASET,
    JOB_FIELDS,
    REPORT_HELP,
    DecisionSerializer,
    FixesField,
    ImportJobViewSet,
    chosen_source,
)
from datasets.models import JobStatus, Upload
from datasets.uploads import remove_upload
from predictions import jobs
from predictions.models import PredictionImport


class PredictionsRequestSerializer(serializers.Serializer):
    """A results file. Exactly one of `prediction_path`, `upload` and, in a multipart request, `file`."""

    prediction_path = serializers.CharField(required=False, help_text="A file inside the server's TOUCHSTONE_IMPORT_ROOTS.")
    upload = serializers.UUIDField(required=False, help_text="A complete resumable upload of yours.")
    name = serializers.CharField(default="prediction", max_length=120, help_text="A run of this name is replaced.")
    split = serializers.CharField(default="", allow_blank=True, max_length=60, help_text="Left out: all splits.")
    fixes = FixesField(required=False, default=list)


class PredictionsUploadSerializer(PredictionsRequestSerializer):
    file = serializers.FileField(required=False, allow_empty_file=True, max_length=1000)


class PredictionsStoredSerializer(serializers.Serializer):
    dataset_id = serializers.IntegerField()
    run_id = serializers.IntegerField()
    prediction_count = serializers.IntegerField(help_text="Predicted objects stored.")
    skipped_count = serializers.IntegerField(help_text="Rows of the file left out.")
    skipped = serializers.DictField(child=serializers.IntegerField(), help_text="Rows left out, by reason.")
    message = serializers.CharField()


class PredictionImportSerializer(serializers.ModelSerializer):
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True, allow_null=True)
    report = serializers.DictField(read_only=True, help_text=REPORT_HELP)

    class Meta:
        model = PredictionImport
        fields = [*JOB_FIELDS, "run_name", "run_id", "report"]
        read_only_fields = fields


class ImportBroke(APIException):
    """Our own failure. The import's row stays, for whoever looks into it."""

    status_code = status.HTTP_500_INTERNAL_SERVER_ERROR
    default_detail = "The import failed."
    remedy = "Nothing was stored. The server's log says more; please report it."


class PredictionsView(APIView):
    """What a model said of a dataset, as a run of its own."""

    parser_classes = [JSONParser, MultiPartParser]

    @extend_schema(
        operation_id="predictions_create",
        summary="Import predictions (COCO results) as a named run",
        description="Small files are imported at once (201); for large ones the import's row comes back (202), to be asked "
        "about at /api/prediction-imports/{id}/. A refused file changes nothing.",
        parameters=[DATASET],
        request={"application/json": PredictionsRequestSerializer, "multipart/form-data": PredictionsUploadSerializer},
        responses={201: PredictionsStoredSerializer, 202: PredictionImportSerializer},
    )
    def post(self, request: Request, dataset_pk: int) -> Response:
        dataset = get_dataset(request.user, dataset_pk, Role.EDITOR)
        asked = PredictionsUploadSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        source = chosen_source(request.user, dataset, wanted, "prediction_path")
        is_small = _is_small(source["path"] or source["upload"].path)
        job = jobs.start_prediction_import(
            request.user, dataset, **source, name=wanted["name"], split=wanted["split"], fixes=wanted["fixes"], wait=is_small
        )
        if is_small:
            return _told_at_once(job, source["upload"])
        return Response(PredictionImportSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def _is_small(path: Path) -> bool:
    """Archives may unpack to anything."""
    return not path.is_dir() and path.stat().st_size <= settings.SYNC_IMPORT_BYTES and not zipfile.is_zipfile(path)


def _told_at_once(job: PredictionImport, upload: Upload | None) -> Response:
    if job.status == JobStatus.COMPLETED:
        return Response(PredictionsStoredSerializer(_stored(job)).data, status=status.HTTP_201_CREATED)
    refusal = job.report.get("refusal")
    if refusal is None:
        raise ImportBroke(job.error)
    _forget(job, upload)
    raise ImportRefused(refusal["message"], where=refusal["where"], remedy=refusal["remedy"])


def _forget(job: PredictionImport, upload: Upload | None) -> None:
    """The sender has been told everything there is to tell: nothing of the attempt stays."""
    job.delete()
    if job.rejects_file:
        default_storage.delete(job.rejects_file)
    if upload is not None:
        remove_upload(upload)


def _stored(job: PredictionImport) -> dict[str, Any]:
    skipped = {problem["reason"]: problem["count"] for problem in job.report["problems"] if problem["rejected"]}
    reasons = ", ".join(f"{count:,} {REASONS[reason].label.lower()}" for reason, count in skipped.items())
    return {
        "dataset_id": job.dataset_id,
        "run_id": job.run_id,
        "prediction_count": job.stored_count,
        "skipped_count": job.rejected_count,
        "skipped": skipped,
        "message": f"Stored {_counted(job.stored_count, 'prediction')} as the run {job.run_name}."
        + (f" Skipped {_counted(job.rejected_count, 'row')}: {reasons}." if skipped else "")
        + _warnings(job),
    }


def _warnings(job: PredictionImport) -> str:
    """What was stored as it stands, and may mean something else."""
    noticed = (problem for problem in job.report["problems"] if problem["reason"] == "ids_shifted_by_one")
    return "".join(
        f" {problem['label']}? {example['where']}: {example['detail']}."
        for problem in noticed
        for example in problem["examples"]
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@extend_schema_view(
    retrieve=extend_schema(summary="One import of predictions, with its report"),
    cancel=extend_schema(responses={202: PredictionImportSerializer}),
    retry=extend_schema(responses={202: PredictionImportSerializer}),
)
class PredictionImportViewSet(ImportJobViewSet):
    serializer_class = PredictionImportSerializer
    queryset = PredictionImport.objects.none()  # for the schema's types only
    table, operations = PredictionImport, jobs

    @extend_schema(
        summary="Import what a dry run has looked at", request=DecisionSerializer, responses={202: PredictionImportSerializer}
    )
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        asked = DecisionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._answer(jobs.confirm_import(job, fixes=asked.validated_data.get("fixes", job.fixes)))
