"""Imports in the API: ground truth into a split, and what both kinds of imports share."""

from types import ModuleType
from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse, Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.filters import OrderingFilter
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Role, User
from datasets import jobs
from datasets.access import get_dataset, get_import
from datasets.importers import IMPORTERS
from datasets.importers.problems import FIXES, ImportRefused
from datasets.models import Dataset, DatasetImport, Upload
from datasets.models.imports import ImportJob
from datasets.reports import open_rejects
from datasets.requests import ImportConflict
from datasets.sources import server_path
from datasets.uploads import given_upload

DATASET = OpenApiParameter("dataset_pk", int, OpenApiParameter.PATH, description="Id of the dataset.")
JOB_FIELDS = [
    "id", "dataset_id", "status", "dry_run", "source_name", "split_name", "fixes", "stage", "progress_done",
    "progress_total", "read_count", "stored_count", "rejected_count", "error", "created_by", "created_at", "started_at",
    "finished_at",
]  # fmt: skip
REPORT_HELP = (
    "What the import doctor, or the import itself, found: the kind of source; read, stored and rejected by kind; problems by "
    "reason with examples; the fixes on offer; the classes; and what exists already and would be replaced."
)


class FixesField(serializers.ListField):
    """Keys of the import doctor's fixes."""

    def __init__(self, **kwargs: Any) -> None:
        listed = "; ".join(f"`{key}`: {fix.explanation}" for key, fix in FIXES.items())
        kwargs["help_text"] = " ".join([kwargs.get("help_text", ""), listed]).strip()
        super().__init__(child=serializers.CharField(max_length=40), **kwargs)


class DatasetImportSerializer(serializers.ModelSerializer):
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True, allow_null=True)
    report = serializers.DictField(read_only=True, help_text=REPORT_HELP)

    class Meta:
        model = DatasetImport
        fields = [*JOB_FIELDS, "importer", "replace", "report"]
        read_only_fields = fields


class DatasetImportRequestSerializer(serializers.Serializer):
    """A source and what to make of it. Exactly one of `upload`, `path` and, in a multipart request, `file`."""

    upload = serializers.UUIDField(required=False, help_text="A complete resumable upload of yours.")
    path = serializers.CharField(required=False, help_text="A file or folder inside the server's TOUCHSTONE_IMPORT_ROOTS.")
    split = serializers.CharField(default="val", max_length=60)
    importer = serializers.ChoiceField(
        choices=list(IMPORTERS), required=False, default="", help_text="Left out: found out by looking."
    )
    images_upload = serializers.UUIDField(required=False, help_text="A resumable upload: a ZIP of the image files.")
    images = serializers.CharField(required=False, help_text="The folder of the image files, inside the import roots.")
    fixes = FixesField(required=False, default=list)
    replace = serializers.BooleanField(default=False, help_text="Replace the split where it holds images already.")
    dry_run = serializers.BooleanField(default=False, help_text="Only look: the report, nothing stored.")


class DatasetImportUploadSerializer(DatasetImportRequestSerializer):
    file = serializers.FileField(required=False, allow_empty_file=True, max_length=1000)


def chosen_source(user: User, dataset: Dataset, wanted: dict[str, Any], path_field: str) -> dict[str, Any]:
    """Keyword arguments `upload` and `path` from the one source that was sent. Raises ImportRefused."""
    given = [name for name in ("file", "upload", path_field) if wanted.get(name) is not None]
    if len(given) != 1:
        raise ImportRefused(
            "An import needs one source." if not given else f"{' and '.join(given)} are several sources; an import needs one.",
            remedy=f"Send one of: file (multipart), upload (the id of a resumable upload), {path_field} (on the server).",
        )
    text = wanted.get(path_field)
    return {
        "path": server_path(text) if text is not None else None,
        "upload": given_upload(user, dataset.project, file=wanted.get("file"), upload=wanted.get("upload")),
    }


@extend_schema_view(list=extend_schema(summary="List the imports of a dataset's ground truth", parameters=[DATASET]))
class DatasetImportsViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """Imports of ground truth, newest first."""

    serializer_class = DatasetImportSerializer
    queryset = DatasetImport.objects.none()  # for the schema's types only
    parser_classes = [JSONParser, MultiPartParser]
    filter_backends = [OrderingFilter]
    ordering, ordering_fields = ["-id"], ["id"]

    def get_queryset(self) -> QuerySet[DatasetImport]:
        dataset = get_dataset(self.request.user, self.kwargs["dataset_pk"])
        return DatasetImport.objects.filter(dataset=dataset).select_related("created_by")

    @extend_schema(
        summary="Import ground truth into a split",
        description="Answers at once with the import's row, which tells how it goes. Where the split holds images already and "
        "`replace` is not set, 409 says what would go.",
        parameters=[DATASET],
        request={
            "application/json": DatasetImportRequestSerializer,
            "multipart/form-data": DatasetImportUploadSerializer,
        },
        responses={202: DatasetImportSerializer},
    )
    def create(self, request: Request, dataset_pk: str) -> Response:
        dataset = get_dataset(request.user, int(dataset_pk), Role.EDITOR)
        asked = DatasetImportUploadSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        source = chosen_source(request.user, dataset, wanted, "path")
        job = jobs.start_dataset_import(
            request.user, dataset, **source, **_images(request.user, dataset, wanted), split=wanted["split"],
            importer=wanted["importer"], fixes=wanted["fixes"], replace=wanted["replace"], dry_run=wanted["dry_run"],
        )  # fmt: skip
        return Response(DatasetImportSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def _images(user: User, dataset: Dataset, wanted: dict[str, Any]) -> dict[str, Any]:
    upload: Upload | None = given_upload(user, dataset.project, file=None, upload=wanted.get("images_upload"))
    return {"images_upload": upload, "images": server_path(wanted["images"]) if "images" in wanted else None}


class ImportJobViewSet(mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """One import: how far it is, what it found; and what may be decided about it."""

    table: type[ImportJob]
    operations: ModuleType
    lookup_value_regex = r"\d+"

    def get_object(self) -> ImportJob:
        needed = Role.VIEWER if self.request.method in SAFE_METHODS else Role.EDITOR
        return get_import(self.request.user, self.table, int(self.kwargs["pk"]), needed)

    def _answer(self, job: ImportJob) -> Response:
        return Response(self.get_serializer(job).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(summary="Cancel an import that has not ended", request=None, responses=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        if not job.cancel():
            raise ImportConflict(f"This import is {job.get_status_display().lower()}; there is nothing to cancel.")
        return self._answer(job)

    @extend_schema(summary="Try a failed or cancelled import again, as it was", request=None)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        return self._answer(self.operations.retry(self.get_object()))

    @extend_schema(
        summary="Download the rejected rows (JSON Lines)", responses={(200, "application/jsonl"): OpenApiTypes.BINARY}
    )
    @action(detail=True)
    def rejects(self, request: Request, pk: str) -> FileResponse:
        job = self.get_object()
        file = open_rejects(job)
        if file is None:
            raise Http404
        return FileResponse(file, as_attachment=True, filename=f"rejected-{job.pk}.jsonl", content_type="application/jsonl")


class DecisionSerializer(serializers.Serializer):
    fixes = FixesField(required=False, help_text="Left out: those of the last look.")


class DatasetDecisionSerializer(DecisionSerializer):
    replace = serializers.BooleanField(default=False, help_text="Replace the split where it holds images already.")


@extend_schema_view(
    retrieve=extend_schema(summary="One import of ground truth, with its report"),
    cancel=extend_schema(responses={202: DatasetImportSerializer}),
    retry=extend_schema(responses={202: DatasetImportSerializer}),
)
class DatasetImportViewSet(ImportJobViewSet):
    serializer_class = DatasetImportSerializer
    queryset = DatasetImport.objects.none()  # for the schema's types only
    table, operations = DatasetImport, jobs

    @extend_schema(
        summary="Import what a dry run has looked at",
        request=DatasetDecisionSerializer,
        responses={202: DatasetImportSerializer},
    )
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        asked = DatasetDecisionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        return self._answer(jobs.confirm_import(job, fixes=wanted.get("fixes", job.fixes), replace=wanted["replace"]))
