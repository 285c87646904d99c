"""How the API says which of a checkpoint's answers count."""

from typing import Any

from rest_framework import serializers


class SettingsSerializer(serializers.Serializer):
    confidence = serializers.FloatField(required=False, min_value=0, max_value=1, help_text="Default: 0.25.")
    iou = serializers.FloatField(
        required=False, min_value=0, max_value=1, help_text="Overlap above which two objects of a class are one. Default: 0.7."
    )
    max_objects = serializers.IntegerField(required=False, min_value=1, max_value=1_000, help_text="Default: 300.")


def class_mapping_field() -> serializers.DictField:
    return serializers.DictField(
        child=serializers.CharField(max_length=300),
        required=False,
        help_text="Class of the checkpoint -> class of the dataset, where the two have other names for one thing.",
    )


class PredictingSerializer(SettingsSerializer):
    """Of predictions that are made for a test run."""

    confidence = serializers.FloatField(
        required=False, min_value=0, max_value=1, help_text="Default: 0.001, as average precision wants unsure predictions too."
    )
    class_mapping = class_mapping_field()


def asked_settings(wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: wanted[name] for name in ("confidence", "iou", "max_objects", "class_mapping") if name in wanted}
