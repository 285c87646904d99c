"""Checkpoints in the API: what can be run, what was found in their files, and registering more."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_project
from accounts.models import Role
from accounts.projects import personal_project
from datasets.task_types import TASK_TYPES
from datasets.uploads import given_upload
from inference import adapters
from inference.access import get_checkpoint
from inference.checkpoints import Told, delete_checkpoint, register_path, register_upload, server_checkpoint
from predictions.answers import storable_json
from predictions.models import Checkpoint
from predictions.training import find_job
from predictions.training_serializers import LARGEST_STEP


class InspectionSerializer(serializers.Serializer):
    """What loading the file would run, found without loading it."""

    format = serializers.CharField(required=False)
    globals = serializers.ListField(child=serializers.CharField(), required=False, help_text="Classes and functions it names.")
    is_harmless = serializers.BooleanField(required=False, help_text="It may be loaded as it is.")
    refused = serializers.ListField(child=serializers.CharField(), required=False, help_text="What it needs and may not have.")
    problem = serializers.CharField(required=False, allow_blank=True, help_text="Why it cannot be judged.")


class RegisteredCheckpointSerializer(serializers.ModelSerializer):
    project = serializers.CharField(source="project.slug", read_only=True)
    job_id = serializers.CharField(source="job.job_id", default=None, read_only=True, allow_null=True)
    class_names = serializers.ListField(child=serializers.CharField(), read_only=True)
    preprocessing = serializers.DictField(read_only=True)
    metrics = serializers.DictField(read_only=True)
    inspection = InspectionSerializer(read_only=True)
    is_runnable = serializers.SerializerMethodField(help_text="Its file is here; else only a path on another machine is known.")

    class Meta:
        model = Checkpoint
        fields = ["id", "project", "job_id", "name", "path", "framework", "architecture", "task_type", "class_names", "preprocessing",
                  "inspection", "epoch", "step", "metrics", "file_size", "sha256", "is_runnable", "created_at"]  # fmt: skip
        read_only_fields = fields

    def get_is_runnable(self, checkpoint: Checkpoint) -> bool:
        return bool(checkpoint.sha256)


class CheckpointRequestSerializer(serializers.Serializer):
    """Weights to register. Exactly one of `path`, `upload` and, in a multipart request, `file`."""

    path = serializers.CharField(required=False, help_text="A file inside the server's TOUCHSTONE_CHECKPOINT_ROOTS.")
    upload = serializers.UUIDField(required=False, help_text="A complete resumable upload of yours.")
    project = serializers.CharField(required=False, help_text="Slug. Left out: the job's, else your personal project.")
    job_id = serializers.CharField(required=False, help_text="The training job that it comes from.")
    framework = serializers.CharField(required=False, default="", help_text="Left out: told from the file.")
    architecture = serializers.CharField(required=False, default="", max_length=200, help_text="timm's name of it.")
    task_type = serializers.ChoiceField(choices=list(TASK_TYPES.items()), required=False, default="")
    class_names = serializers.ListField(
        child=serializers.CharField(max_length=300), required=False, default=list, max_length=100_000
    )
    preprocessing = serializers.DictField(
        required=False, default=dict, help_text="Input size and the rest, where the file is silent."
    )
    name = serializers.CharField(required=False, default="", max_length=200)
    epoch = serializers.FloatField(required=False, allow_null=True, default=None)
    step = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0, max_value=LARGEST_STEP)
    metrics = serializers.DictField(child=serializers.FloatField(), required=False)

    def validate_framework(self, value: str) -> str:
        if value and value not in adapters.known():
            raise ValidationError(f"There is no adapter '{value}'. Known are {', '.join(sorted(adapters.known()))}.")
        return value

    def validate_preprocessing(self, value: dict[str, Any]) -> Any:
        return storable_json(value)

    def validate_metrics(self, value: dict[str, float]) -> Any:
        return storable_json(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len([name for name in ("path", "upload", "file") if attrs.get(name) is not None]) != 1:
            raise ValidationError("Send exactly one of: file (multipart), upload (the id of a resumable upload), path.")
        return attrs


class CheckpointUploadSerializer(CheckpointRequestSerializer):
    file = serializers.FileField(required=False, max_length=1000)


class CheckpointFilter(filters.FilterSet):
    framework = filters.CharFilter()
    task_type = filters.ChoiceFilter(choices=list(TASK_TYPES.items()))
    job = filters.CharFilter(field_name="job__job_id", help_text="Id of the training job.")
    project = filters.CharFilter(field_name="project__slug", help_text="Slug of the project.")

    class Meta:
        model = Checkpoint
        fields = ["framework", "task_type", "job", "project"]


@extend_schema_view(
    list=extend_schema(summary="List checkpoints, newest first"),
    retrieve=extend_schema(summary="One checkpoint"),
    destroy=extend_schema(
        summary="Delete a checkpoint with its inference jobs and exports",
        description="An uploaded file goes with it; a file in a folder of the server stays.",
    ),
)
class CheckpointViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet):
    serializer_class = RegisteredCheckpointSerializer
    filterset_class = CheckpointFilter
    filter_backends = [filters.DjangoFilterBackend, OrderingFilter]
    ordering, ordering_fields = ["-id"], ["id"]
    queryset = Checkpoint.objects.none()  # for the schema's types only
    parser_classes = [JSONParser, MultiPartParser]
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[Checkpoint]:
        return Checkpoint.objects.visible_to(self.request.user).select_related("project", "job")

    def get_object(self) -> Checkpoint:
        needed = Role.VIEWER if self.request.method in SAFE_METHODS else Role.EDITOR
        return get_checkpoint(self.request.user, int(self.kwargs["pk"]), needed)

    @extend_schema(
        summary="Register a checkpoint",
        description="The file is hashed and inspected, never loaded: that is for workers, and only where the inspection found "
        "nothing, or an administrator trusts this very file.",
        request={"application/json": CheckpointRequestSerializer, "multipart/form-data": CheckpointUploadSerializer},
        responses={201: RegisteredCheckpointSerializer},
    )
    def create(self, request: Request) -> Response:
        asked = CheckpointUploadSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        slug = wanted.get("project", "")
        job = find_job(request.user, wanted["job_id"], Role.EDITOR, slug) if wanted.get("job_id") else None
        project = job.project if job else get_project(request.user, slug or personal_project(request.user).slug, Role.EDITOR)
        told = Told(**{name: wanted.get(name) for name in Told.__dataclass_fields__})
        if wanted.get("path") is not None:
            checkpoint = register_path(project, server_checkpoint(wanted["path"]), told, job=job, user=request.user)
        else:
            upload = given_upload(request.user, project, file=wanted.get("file"), upload=wanted.get("upload"))
            assert upload is not None  # one of the three was sent
            checkpoint = register_upload(upload, told, job=job)
        return Response(RegisteredCheckpointSerializer(checkpoint).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: Checkpoint) -> None:
        delete_checkpoint(instance)
