"""The shapes of sets of questions in the API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Project
from datasets.api import VisibleProjectField
from predictions import set_content, set_files
from predictions.leakage import KINDS
from predictions.models import LeakageCheck, PredictionSet, PredictionSetItem, PredictionSetVersion, SetKind
from predictions.set_content import SetDiff
from predictions.set_files.base import ItemRecord
from predictions.training_serializers import StorableText

SHOWN_IN_DIFF = 1000


class VersionSerializer(serializers.ModelSerializer):
    number = serializers.IntegerField(read_only=True)
    is_draft = serializers.BooleanField(source="is_open", read_only=True, help_text="It may change, and jobs are not asked it.")
    published_by = serializers.CharField(source="published_by.username", default=None, allow_null=True, read_only=True)
    validators = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = PredictionSetVersion
        fields = ["number", "is_draft", "content_hash", "item_count", "validators", "pass_threshold", "note", "source", "seed",
                  "created_at", "published_at", "published_by"]  # fmt: skip
        read_only_fields = fields


class SetBriefSerializer(serializers.ModelSerializer):
    project = serializers.SlugField(source="project.slug", read_only=True)
    kind = serializers.ChoiceField(choices=SetKind.choices, read_only=True)
    latest = serializers.IntegerField(read_only=True, allow_null=True, help_text="Number of the newest published version.")
    latest_items = serializers.IntegerField(read_only=True, allow_null=True, help_text="How many items that version holds.")
    has_draft = serializers.BooleanField(read_only=True)

    class Meta:
        model = PredictionSet
        fields = ["id", "project", "name", "kind", "description", "latest", "latest_items", "has_draft", "created_at"]
        read_only_fields = fields


class SetSerializer(SetBriefSerializer):
    versions = VersionSerializer(many=True, read_only=True, help_text="Newest first, the draft among them.")

    class Meta(SetBriefSerializer.Meta):
        fields = [*SetBriefSerializer.Meta.fields, "versions"]
        read_only_fields = fields


class NewSetSerializer(serializers.Serializer):
    project = extend_schema_field(serializers.SlugField(help_text="Slug of the project."))(VisibleProjectField)(
        slug_field="slug", queryset=Project.objects.none()
    )
    name = StorableText(max_length=119)
    description = StorableText(max_length=5000, required=False, allow_blank=True, default="")


class SetChangeSerializer(serializers.Serializer):
    description = StorableText(max_length=5000, allow_blank=True)


class RulesSerializer(serializers.Serializer):
    validators = serializers.ListField(child=serializers.DictField(), required=False)
    pass_threshold = serializers.FloatField(min_value=0, max_value=1, required=False, allow_null=True)


class SetImageSerializer(serializers.Serializer):
    dataset = serializers.CharField(help_text="Slug of the dataset.")
    split = serializers.CharField()
    file_name = serializers.CharField()


class ItemFieldsSerializer(serializers.Serializer):
    """What an item may hold. Exactly one of prompt, messages and image."""

    key = serializers.CharField(required=False, help_text="Made from the question where none is given.")
    prompt = serializers.CharField(required=False, allow_null=True, allow_blank=True, trim_whitespace=False)
    messages = serializers.ListField(child=serializers.DictField(), required=False, allow_null=True)
    image = SetImageSerializer(required=False, allow_null=True)
    references = serializers.ListField(child=serializers.CharField(allow_blank=True), required=False)
    validators = serializers.ListField(child=serializers.DictField(), required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    weight = serializers.FloatField(required=False)
    notes = serializers.CharField(required=False, allow_blank=True)
    metadata = serializers.DictField(required=False)


class ItemSerializer(ItemFieldsSerializer):
    """An item as it is stored."""

    sample = serializers.IntegerField(allow_null=True, help_text="Id of the image, where it is still there.")
    sample_index = serializers.IntegerField(help_text="Its place in the set.")

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = True
        return fields


class ItemChangeSerializer(serializers.Serializer):
    """The fields to change; the others stay."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        known = ItemFieldsSerializer().fields
        unknown = {name: "There is no such field." for name in data if name not in known}
        if unknown:
            raise serializers.ValidationError(unknown)
        return dict(data)

    def get_fields(self) -> dict[str, serializers.Field]:
        return ItemFieldsSerializer().get_fields()


class RowsField(serializers.ListField):
    """Rows of any shape that files may hold; `predictions.set_files` checks them, row by row."""

    child = serializers.JSONField()


class PutItemsSerializer(serializers.Serializer):
    items = extend_schema_field(ItemFieldsSerializer(many=True))(RowsField)(min_length=1, max_length=10_000)


class ChangedSerializer(serializers.Serializer):
    added = serializers.IntegerField()
    updated = serializers.IntegerField()
    removed = serializers.IntegerField()
    same = serializers.IntegerField(help_text="Were there already, just so.")


class PublishSerializer(serializers.Serializer):
    note = StorableText(max_length=500, required=False, allow_blank=True, default="", help_text="What changed, in your words.")


class ItemDiffSerializer(serializers.Serializer):
    key = serializers.CharField()
    fields_changed = serializers.ListField(child=serializers.CharField())
    old = ItemFieldsSerializer()
    new = ItemFieldsSerializer()


class DiffSerializer(serializers.Serializer):
    before = serializers.IntegerField(allow_null=True, help_text="Number of the earlier version.")
    after = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="added, removed, changed, unchanged.")
    added = ItemFieldsSerializer(many=True, help_text=f"Up to {SHOWN_IN_DIFF:,} of them, as the others.")
    removed = ItemFieldsSerializer(many=True)
    changed = ItemDiffSerializer(many=True)
    rules = serializers.ListField(child=serializers.CharField(), help_text="What changed for all items.")


class ImportSerializer(serializers.Serializer):
    """A file, or its content as text."""

    file = serializers.FileField(required=False, help_text="JSON Lines, CSV or promptfoo's YAML, by its ending.")
    content = serializers.CharField(required=False, trim_whitespace=False)
    name = serializers.CharField(required=False, max_length=200, help_text="File name of the content.")
    format = serializers.ChoiceField(
        choices=[(key, label) for key, (label, _, _) in set_files.FORMATS.items()], required=False, default=""
    )
    mode = serializers.ChoiceField(
        choices=["add", "replace"], required=False, default="", help_text="Needed where the draft holds items."
    )
    skip_unknown = serializers.BooleanField(required=False, default=False, help_text="Leave out what has no counterpart here.")
    dry_run = serializers.BooleanField(required=False, default=False)
    publish = serializers.BooleanField(required=False, default=False)
    note = StorableText(max_length=500, required=False, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("file") is None) == (attrs.get("content") is None):
            raise serializers.ValidationError({"file": "Send either file or content."})
        return attrs


class ImportedSerializer(ChangedSerializer):
    read = serializers.IntegerField()
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text="By kind: what has no counterpart here.")
    notes = serializers.ListField(child=serializers.CharField())
    version = serializers.IntegerField(allow_null=True, help_text="The version that was published.")


class LeakageRequestSerializer(serializers.Serializer):
    version = serializers.CharField(required=False, default="", allow_blank=True, help_text="A number, `draft` or `latest`.")
    file = serializers.FileField(required=False, help_text="JSON array or JSON Lines, also .gz.")
    path = serializers.CharField(required=False, help_text="A path on the server, inside TOUCHSTONE_IMPORT_ROOTS.")


class LeakageExampleSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=list(KINDS.items()))
    row = serializers.IntegerField()
    key = serializers.CharField()
    sample_index = serializers.IntegerField()
    asked = serializers.CharField()


class LeakageSerializer(serializers.Serializer):
    version = serializers.CharField()
    normaliser = serializers.CharField()
    item_count = serializers.IntegerField()
    image_items = serializers.IntegerField(help_text="Items that are images, which are not looked for.")
    row_count = serializers.IntegerField()
    unreadable_rows = serializers.IntegerField(help_text="Rows of no shape that asks something.")
    leaked = serializers.IntegerField(help_text="Items whose prompt stands in the data, at least normalised.")
    items = serializers.DictField(child=serializers.IntegerField(), help_text=f"Items by kind: {', '.join(KINDS)}.")
    rows = serializers.DictField(child=serializers.IntegerField())
    examples = LeakageExampleSerializer(many=True)


class LeakageCheckSerializer(serializers.ModelSerializer):
    version = serializers.CharField(help_text="Of the golden set: name@version.")
    drawn = serializers.CharField(help_text="What the training drew: name@version.")
    source = serializers.CharField(source="drawn.source", help_text="The file it was drawn from, as the training names it.")
    found = LeakageSerializer(source="report", help_text="Empty until the check is completed.")

    class Meta:
        model = LeakageCheck
        fields = ["id", "version", "drawn", "source", "status", "error", "leaked", "whole_file", "found", "finished_at"]


def item_as_dict(item: PredictionSetItem) -> dict[str, Any]:
    return {**record_as_dict(set_content.as_record(item)), "sample": item.sample_id, "sample_index": item.sample_index}


def record_as_dict(record: ItemRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name != "row"}


def diff_as_dict(old: PredictionSetVersion | None, new: PredictionSetVersion, found: SetDiff) -> dict[str, Any]:
    counts = {name: len(getattr(found, name)) for name in ("added", "removed", "changed")}
    return {
        "before": old.number if old else None,
        "after": new.number,
        "counts": {**counts, "unchanged": found.unchanged},
        "added": [record_as_dict(record) for record in found.added[:SHOWN_IN_DIFF]],
        "removed": [record_as_dict(record) for record in found.removed[:SHOWN_IN_DIFF]],
        "changed": [
            {
                "key": change.new.key,
                "fields_changed": change.fields,
                "old": record_as_dict(change.old),
                "new": record_as_dict(change.new),
            }
            for change in found.changed[:SHOWN_IN_DIFF]
        ],
        "rules": found.rules,
    }
