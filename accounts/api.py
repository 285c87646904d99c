"""Projects in the API. They are made and shared on the pages."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets

from accounts.models import Project, Role


class BearerTokenScheme(OpenApiAuthenticationExtension):
    """How the schema describes our tokens."""

    target_class = "accounts.authentication.BearerTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of your tokens page: `Authorization: Bearer TOKEN`.",
        }


class ProjectSerializer(serializers.ModelSerializer):
    role = serializers.ChoiceField(choices=Role.choices, source="my_role", read_only=True, help_text="Yours in this project.")

    class Meta:
        model = Project
        fields = ["slug", "name", "is_personal", "role", "created_at"]
        read_only_fields = fields


@extend_schema_view(
    list=extend_schema(summary="List your projects"),
    retrieve=extend_schema(summary="One project"),
)
class ProjectViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """The projects you are a member of."""

    serializer_class = ProjectSerializer
    queryset = Project.objects.none()  # for the schema's types only
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Any]:
        return Project.objects.visible_to(self.request.user).with_role()
