"""Sets of questions in the API: reading all of them, keeping the curated ones."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import require_role
from accounts.models import Role
from predictions import curation, draft_items, leakage, leakage_checks, set_content, set_files, set_imports
from predictions import sets_serializers as shapes
from predictions.models import PredictionSet, PredictionSetItem, SetKind
from predictions.set_files.base import BadField, ItemRecord, Reading, SetFileRefused
from predictions.set_files.jsonl import as_row, record
from predictions.sets_access import get_version
from predictions.sets_downloads import download
from predictions.training_sources import training_file
from predictions.versions_compared import compared

READING = ("GET", "HEAD", "OPTIONS")
VERSION = OpenApiParameter("version", str, OpenApiParameter.PATH, description="A number, `draft` or `latest`.")
KEY = OpenApiParameter("key", str, OpenApiParameter.PATH, description="The item's key.")


class SetFilter(filters.FilterSet):
    project = filters.CharFilter(field_name="project__slug", help_text="Slug of a project.")
    kind = filters.ChoiceFilter(choices=SetKind.choices)
    search = filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="Part of the name.")

    class Meta:
        model = PredictionSet
        fields = ["project", "kind", "search"]


@extend_schema_view(
    list=extend_schema(summary="List the sets of questions"),
    retrieve=extend_schema(summary="One set with its versions", responses=shapes.SetSerializer),
)
class SetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Sets of your projects, drawn and curated. Viewers read, editors change."""

    serializer_class = shapes.SetBriefSerializer
    filterset_class = SetFilter
    queryset = PredictionSet.objects.none()  # for the schema's types only
    lookup_value_regex = r"\d+"

    def get_queryset(self) -> QuerySet[PredictionSet]:
        return PredictionSet.objects.visible_to(self.request.user).select_related("project").with_versions()

    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        return shapes.SetSerializer if self.action == "retrieve" else super().get_serializer_class()

    def check_object_permissions(self, request: Request, obj: PredictionSet) -> None:
        super().check_object_permissions(request, obj)
        # Looking for leaks changes nothing.
        if request.method not in READING and self.action != "leakage":
            require_role(request.user, obj.project, Role.EDITOR)

    def given(self, form: type[serializers.Serializer]) -> dict[str, Any]:
        checked = form(data=self.request.data, context=self.get_serializer_context())
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def whole(self, asked: PredictionSet, code: int = status.HTTP_200_OK) -> Response:
        """The set as it is now."""
        return Response(shapes.SetSerializer(self.get_queryset().get(pk=asked.pk)).data, status=code)

    # --- The set -----------------------------------------------------------------------------------------------------
    @extend_schema(
        summary="Make a curated set with an empty draft", request=shapes.NewSetSerializer, responses={201: shapes.SetSerializer}
    )
    def create(self, request: Request) -> Response:
        given = self.given(shapes.NewSetSerializer)
        require_role(request.user, given["project"], Role.EDITOR)
        made = curation.create_set(given["project"], request.user, given["name"], given["description"])
        return self.whole(made, status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change the description of a set", request=shapes.SetChangeSerializer, responses=shapes.SetSerializer
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        asked.description = self.given(shapes.SetChangeSerializer)["description"]
        asked.save(update_fields=["description"])
        return self.whole(asked)

    @extend_schema(summary="Delete a set that no run stands on", responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        curation.delete_set(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    # --- Items -------------------------------------------------------------------------------------------------------
    @extend_schema(
        summary="Items of a version", parameters=[VERSION], responses=shapes.ItemSerializer(many=True), filters=False
    )
    @action(detail=True, url_path=r"versions/(?P<version>\w+)/items", filterset_class=None)
    def items(self, request: Request, pk: str, version: str) -> Response:
        found = get_version(self.get_object(), version)
        page = self.paginate_queryset(PredictionSetItem.objects.filter(version=found))
        return self.get_paginated_response([shapes.item_as_dict(item) for item in page or []])

    @extend_schema(summary="Begin a draft, a copy of the latest version", request=None, responses=shapes.SetSerializer)
    @action(detail=True, methods=["post"])
    def draft(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        curation.begin_draft(asked)
        return self.whole(asked)

    @extend_schema(
        summary="Change what every answer to the draft must satisfy",
        request=shapes.RulesSerializer,
        responses=shapes.SetSerializer,
    )
    @draft.mapping.patch
    def rules(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        draft = curation.begin_draft(asked)
        given = self.given(shapes.RulesSerializer)
        curation.set_rules(asked, given.get("validators", draft.validators), given.get("pass_threshold", draft.pass_threshold))
        return self.whole(asked)

    @extend_schema(summary="Discard the draft", responses={204: None})
    @draft.mapping.delete
    def discard(self, request: Request, pk: str) -> Response:
        curation.discard_draft(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="Add items to the draft, or change those under a known key",
        description="All of them or none. A draft is begun where there is none.",
        request=shapes.PutItemsSerializer,
        responses=shapes.ChangedSerializer,
    )
    @action(detail=True, methods=["post"], url_path="draft/items")
    def draft_items(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        changed = draft_items.put_items(asked, records_from(self.given(shapes.PutItemsSerializer)["items"]))
        return Response(vars(changed))

    @extend_schema(
        operation_id="sets_draft_items_remove",
        summary="Take items out of the draft",
        parameters=[OpenApiParameter("key", str, many=True, required=True, description="Keys of the items.")],
        responses={200: shapes.ChangedSerializer},
    )
    @draft_items.mapping.delete
    def remove_items(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        count = draft_items.remove_items(asked, request.query_params.getlist("key"))
        return Response(vars(draft_items.Changed(removed=count)))

    @extend_schema(
        operation_id="sets_draft_item_update",
        summary="Change an item of the draft",
        description="Fields that are not sent stay. A key that was made from the question follows it.",
        parameters=[KEY],
        request=shapes.ItemChangeSerializer,
        responses=shapes.ItemSerializer,
    )
    @action(detail=True, methods=["patch"], url_path=r"draft/items/(?P<key>[^/]+)")
    def draft_item(self, request: Request, pk: str, key: str) -> Response:
        asked = self.get_object()
        item = item_of(asked, key)
        fields = self.given(shapes.ItemChangeSerializer)
        before = as_row(set_content.as_record(item))
        if {"prompt", "messages", "image"} & fields.keys():
            before = {name: value for name, value in before.items() if name not in ("prompt", "messages", "image")}
        changed = draft_items.edit_item(asked, key, records_from([{**before, **fields}])[0])
        return Response(shapes.item_as_dict(changed))

    @extend_schema(
        operation_id="sets_draft_item_remove", summary="Take an item out of the draft", parameters=[KEY], responses={204: None}
    )
    @draft_item.mapping.delete
    def remove_item(self, request: Request, pk: str, key: str) -> Response:
        asked = self.get_object()
        item_of(asked, key)
        draft_items.remove_items(asked, [key])
        return Response(status=status.HTTP_204_NO_CONTENT)

    # --- Versions ----------------------------------------------------------------------------------------------------
    @extend_schema(
        summary="Publish the draft: it never changes again",
        request=shapes.PublishSerializer,
        responses=shapes.VersionSerializer,
    )
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, pk: str) -> Response:
        version = curation.publish(self.get_object(), request.user, self.given(shapes.PublishSerializer)["note"])
        return Response(shapes.VersionSerializer(version).data)

    @extend_schema(
        summary="What differs between two versions",
        parameters=[
            OpenApiParameter("from", str, description="A number, `draft` or `latest`; without it, the version before."),
            OpenApiParameter("to", str, description="The same; without it, the draft where there is one, else the latest."),
        ],
        responses=shapes.DiffSerializer,
        filters=False,
    )
    @action(detail=True, filterset_class=None)
    def diff(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        old, new = compared(asked, request.query_params.get("from", ""), request.query_params.get("to", ""))
        return Response(shapes.diff_as_dict(old, new, set_content.diff(old, new)))

    # --- Files -------------------------------------------------------------------------------------------------------
    @extend_schema(
        operation_id="sets_import",
        summary="Import a file into the draft",
        description="All of it or nothing. With `dry_run` it is read and checked, and nothing is stored.",
        request={"multipart/form-data": shapes.ImportSerializer, "application/json": shapes.ImportSerializer},
        responses=shapes.ImportedSerializer,
    )
    @action(detail=True, methods=["post"], url_path="import", parser_classes=[MultiPartParser, FormParser, JSONParser])
    def import_file(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        given = self.given(shapes.ImportSerializer)
        file = given.get("file")
        name, data = (file.name, file.read()) if file else (given.get("name") or "items.jsonl", given["content"].encode())
        content = set_imports.read_file(name, data, file_format=given["format"], skips_unknown=given["skip_unknown"])
        changed, published = draft_items.Changed(), None
        if not given["dry_run"]:
            done = set_imports.import_set(
                asked.project, request.user, asked.name, content, mode=given["mode"], publishes=given["publish"], note=given["note"]
            )  # fmt: skip
            changed, published = done.changed, done.published
        return Response(
            {
                "read": len(content.items),
                **vars(changed),
                "left_out": dict(content.left_out),
                "notes": set_imports.told(content),
                "version": published.number if published else None,
            }
        )

    @extend_schema(
        operation_id="sets_export",
        summary="A version as a file",
        parameters=[
            OpenApiParameter("version", str, description="A number, `draft` or `latest` (default)."),
            OpenApiParameter("file_format", str, enum=list(set_files.FORMATS), description="Default: jsonl."),
        ],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
        filters=False,
    )
    @action(detail=True, url_path="export", filterset_class=None)
    def export_file(self, request: Request, pk: str) -> HttpResponse:
        file_format = request.query_params.get("file_format", "jsonl")
        if file_format not in set_files.FORMATS:
            raise serializers.ValidationError({"file_format": f"Must be one of {', '.join(set_files.FORMATS)}."})
        asked = self.get_object()
        version = get_version(
            asked, request.query_params.get("version", "") or ("latest" if curation.latest_of(asked) else "draft")
        )
        return download(version, file_format)

    @extend_schema(
        operation_id="sets_leakage",
        summary="Look for the questions of a version in training data",
        request={"multipart/form-data": shapes.LeakageRequestSerializer, "application/json": shapes.LeakageRequestSerializer},
        responses=shapes.LeakageSerializer,
    )
    @action(detail=True, methods=["post"], parser_classes=[MultiPartParser, FormParser, JSONParser])
    def leakage(self, request: Request, pk: str) -> Response:
        asked = self.get_object()
        given = self.given(shapes.LeakageRequestSerializer)
        version = get_version(asked, given["version"] or ("latest" if curation.latest_of(asked) else "draft"))
        with training_file(file=given.get("file"), path=given.get("path", "")) as path:
            return Response(leakage.check_file(version, path).as_dict())

    @extend_schema(
        operation_id="sets_leakage_checks",
        summary="What was found when trainings registered what they drew",
        responses=shapes.LeakageCheckSerializer(many=True),
        filters=False,
    )
    @leakage.mapping.get
    def leakage_checks(self, request: Request, pk: str) -> Response:
        page = self.paginate_queryset(leakage_checks.of_set(self.get_object().pk))
        return self.get_paginated_response(shapes.LeakageCheckSerializer(page, many=True).data)


def item_of(asked: PredictionSet, key: str) -> PredictionSetItem:
    """The item of the set's draft. Raises SetConflict where either is gone."""
    draft = curation.draft_of(asked)
    item = draft and draft.items.select_related("sample").filter(key=key).first()
    if not item:
        missing = f"The draft of '{asked.name}' holds no item '{key}'." if draft else f"'{asked.name}' has no draft."
        raise curation.SetConflict(missing, "Begin a draft where there is none, and list its items.")
    return item


def records_from(rows: list[Any]) -> list[ItemRecord]:
    """Rows as in a file of JSON Lines. Raises SetFileRefused with every row that is wrong."""
    reading, records = Reading(), []
    for number, row in enumerate(rows, start=1):
        try:
            records.append(record(row, number, reading))
        except BadField as bad:
            reading.refuse(str(bad), bad.remedy, number, bad.name)
    seen: dict[str, int] = {}
    for each in records:
        if seen.setdefault(each.key, each.row) != each.row:
            reading.refuse(f"Row {seen[each.key]} has the key {each.key!r} too.", "Send each item once.", each.row, "key")
    if reading.problems:
        raise SetFileRefused(reading.problems)
    return records
