"""Weights that administrators vouch for: found by digest, note or person. A digest is given once; another file is another row."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from inference.models import TrustedWeights

SHA256 = re.compile(r"[0-9a-f]{64}")


class TrustedWeightsForm(forms.ModelForm):
    def clean_sha256(self) -> str:
        digest = str(self.cleaned_data["sha256"]).strip().lower()
        if not SHA256.fullmatch(digest):
            raise ValidationError("A SHA-256 digest is 64 hexadecimal digits, as sha256sum prints it.")
        return digest


@admin.register(TrustedWeights)
class TrustedWeightsAdmin(admin.ModelAdmin):
    form = TrustedWeightsForm
    list_display = ["sha256", "note", "trusted_by", "trusted_at"]
    list_select_related = ["trusted_by"]
    search_fields = ["sha256", "note", "trusted_by__username"]
    date_hierarchy = "trusted_at"
    fields = ["sha256", "note", "trusted_by", "trusted_at"]
    readonly_fields = ["trusted_by", "trusted_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["sha256", *self.readonly_fields] if obj else [*self.readonly_fields]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.trusted_by = request.user
        super().save_model(request, obj, form, change)
