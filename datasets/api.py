"""Datasets in the API."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers, status, viewsets
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.access import require_role
from accounts.models import Project, Role
from datasets import task_types
from datasets.creating import create_dataset
from datasets.deleting import DatasetBusy, delete_dataset
from datasets.models import Dataset, Split


class SplitSerializer(serializers.ModelSerializer):
    class Meta:
        model = Split
        fields = ["name", "sample_count", "annotation_count", "imported_at"]
        read_only_fields = fields


class VisibleProjectField(serializers.SlugRelatedField):
    """A project by its slug; those you are no member of do not exist."""

    default_error_messages = {"does_not_exist": "There is no project {value!r} that you are a member of."}

    def get_queryset(self) -> QuerySet[Project]:
        return Project.objects.visible_to(self.context["request"].user)


class DatasetSerializer(serializers.ModelSerializer):
    project = extend_schema_field(serializers.SlugField(help_text="Slug of the project."))(VisibleProjectField)(
        slug_field="slug", queryset=Project.objects.none()
    )
    splits = SplitSerializer(many=True, read_only=True)

    class Meta:
        model = Dataset
        fields = [
            "id", "project", "name", "slug", "task_type", "description", "sample_count", "annotation_count",
            "prediction_count", "splits", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["slug", "sample_count", "annotation_count", "prediction_count"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Project and task type belong to what was imported: they are chosen once."""
        for name in {"project", "task_type"} & attrs.keys() if self.instance else ():
            if attrs[name] != getattr(self.instance, name):
                raise serializers.ValidationError(
                    {name: "This is chosen when the dataset is made and stays. Make a new dataset."}
                )
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Dataset:
        user, project = self.context["request"].user, validated_data.pop("project")
        require_role(user, project, Role.EDITOR)
        return create_dataset(user, project, **validated_data)


class DatasetFilter(filters.FilterSet):
    project = filters.CharFilter(field_name="project__slug", help_text="Slug of a project.")
    task_type = filters.ChoiceFilter(choices=task_types.choices)
    search = filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="Part of the name.")

    class Meta:
        model = Dataset
        fields = ["project", "task_type", "search"]


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "This cannot be done in the present state."
    default_code = "conflict"


@extend_schema_view(
    list=extend_schema(summary="List datasets"),
    create=extend_schema(summary="Make an empty dataset"),
    retrieve=extend_schema(summary="One dataset with its splits"),
    partial_update=extend_schema(summary="Change name or description"),
    destroy=extend_schema(summary="Delete a dataset with all images, annotations and predictions"),
)
class DatasetViewSet(viewsets.ModelViewSet):
    """Datasets of your projects. Their counters follow imports and deletions."""

    serializer_class = DatasetSerializer
    queryset = Dataset.objects.none()  # for the schema's types only
    filterset_class = DatasetFilter
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    def get_queryset(self) -> QuerySet[Dataset]:
        return Dataset.objects.visible_to(self.request.user).select_related("project").prefetch_related("splits")

    def check_object_permissions(self, request: Request, obj: Dataset) -> None:
        super().check_object_permissions(request, obj)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            require_role(request.user, obj.project, Role.EDITOR)

    def perform_destroy(self, instance: Dataset) -> None:
        try:
            delete_dataset(instance)
        except DatasetBusy as refusal:
            raise Conflict(str(refusal)) from None
