"""Sets of questions in the admin, as curators work: drafts are edited, published versions are looked at."""

import io
import zipfile
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from datasets.admin import list_link
from predictions import curation, set_imports
from predictions.models import PredictionSet, PredictionSetVersion, SetKind
from predictions.prediction_sets import SetRefused
from predictions.set_files import SetFileRefused
from predictions.set_imports import MODES
from predictions.set_versions_admin import is_draft
from predictions.sets_downloads import download


class VersionInline(admin.TabularInline):
    model = PredictionSetVersion
    fields = readonly_fields = ["opened", "item_count", "content_hash", "note", "source", "published_at", "published_by"]
    extra = 0
    can_delete = False

    @admin.display(description="version")
    def opened(self, version: PredictionSetVersion) -> str:
        url = reverse("admin:predictions_predictionsetversion_change", args=[version.pk])
        return format_html('<a href="{}">{}{}</a>', url, version.number, " (draft)" if is_draft(version) else "")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PredictionSetVersion]":
        return super().get_queryset(request).select_related("prediction_set", "published_by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ImportForm(forms.Form):
    file = forms.FileField(help_text="JSON Lines, CSV or promptfoo's YAML, by its ending.")
    mode = forms.ChoiceField(choices=list(MODES.items()), widget=forms.RadioSelect, initial="add")
    skip_unknown = forms.BooleanField(required=False, label="Leave out what has no counterpart here")
    publish = forms.BooleanField(required=False, label="Publish the draft afterwards")
    note = forms.CharField(required=False, max_length=500, help_text="What changed, for the published version.")


@admin.register(PredictionSet)
class PredictionSetAdmin(admin.ModelAdmin):
    list_display = ["name", "project", "kind", "latest", "items", "versions_published", "draft", "created_by", "created_at"]
    list_filter = ["kind"]
    list_select_related = ["project", "created_by"]
    search_fields = ["name", "project__name", "description"]
    fields = ["name", "project", "description", "kind", "created_by", "created_at"]
    inlines = [VersionInline]
    actions = ["publish_drafts", "begin_drafts", "export_latest"]
    change_form_template = "admin/predictions/set_change.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PredictionSet]":
        return super().get_queryset(request).with_versions()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Name and project are what jobs call it by: they are chosen once."""
        made = ["kind", "created_by", "created_at"]
        return made if obj is None else ["name", "project", *made]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [] if obj is None else self.inlines

    @admin.display(ordering="latest")
    def latest(self, asked: Any) -> str:
        return "none yet" if asked.latest is None else str(asked.latest)

    @admin.display(ordering="latest_items")
    def items(self, asked: Any) -> str:
        if asked.latest is None:
            return "none yet"
        return list_link("predictions_predictionsetitem", f"{asked.latest_items:,}", version__prediction_set=asked.pk)

    @admin.display(description="versions", ordering="version_count")
    def versions_published(self, asked: Any) -> int:
        return int(asked.version_count)

    @admin.display(boolean=True)
    def draft(self, asked: Any) -> bool:
        return bool(asked.has_draft)

    def save_model(self, request: HttpRequest, obj: PredictionSet, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["description"])
            return
        made = curation.create_set(obj.project, request.user, obj.name, obj.description)
        obj.pk, obj.kind, obj.created_by, obj.created_at = made.pk, made.kind, made.created_by, made.created_at
        obj._state.adding = False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, form=NewSetAdminForm if obj is None else forms.ModelForm, **kwargs)

    # --- Actions -----------------------------------------------------------------------------------------------------
    @admin.action(description="Publish the drafts of the selected sets", permissions=["change"])
    def publish_drafts(self, request: HttpRequest, queryset: "QuerySet[PredictionSet]") -> None:
        for asked in queryset:
            try:
                version = curation.publish(asked, request.user)
            except SetRefused as refusal:
                self.message_user(request, f"{asked.name}: {refusal} {refusal.remedy}", messages.ERROR)
            else:
                self.message_user(request, f"{version} is published with {version.item_count:,} items.", messages.SUCCESS)

    @admin.action(description="Begin drafts of the selected sets", permissions=["change"])
    def begin_drafts(self, request: HttpRequest, queryset: "QuerySet[PredictionSet]") -> None:
        for asked in queryset:
            try:
                draft = curation.begin_draft(asked)
            except SetRefused as refusal:
                self.message_user(request, f"{asked.name}: {refusal} {refusal.remedy}", messages.ERROR)
            else:
                self.message_user(
                    request, f"{asked.name}: the draft of version {draft.number} holds {draft.item_count:,} items."
                )

    @admin.action(description="Export the latest versions as JSON Lines", permissions=["view"])
    def export_latest(self, request: HttpRequest, queryset: "QuerySet[PredictionSet]") -> HttpResponse | None:
        versions = [version for asked in queryset if (version := curation.latest_of(asked) or curation.draft_of(asked))]
        if not versions:
            self.message_user(request, "The selected sets have no versions yet.", messages.WARNING)
            return None
        if len(versions) == 1:
            return download(versions[0], "jsonl")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for version in versions:
                name = f"{version.prediction_set_id}-{set_imports.file_name(version, 'jsonl')}"
                archive.writestr(name, set_imports.export(version, "jsonl"))
        response = HttpResponse(packed.getvalue(), content_type="application/zip")
        response["Content-Disposition"] = 'attachment; filename="sets.zip"'
        return response

    # --- Files -------------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "<int:pk>/import/",
                self.admin_site.admin_view(self.import_view),
                name="predictions_predictionset_import",
            )
        ]
        return [*own, *super().get_urls()]

    def import_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A file into the draft: all of it or nothing."""
        asked = get_object_or_404(PredictionSet.objects.select_related("project"), pk=pk, kind=SetKind.CURATED)
        form = ImportForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
        if request.method == "POST" and form.is_valid():
            try:
                self._import(request, asked, form.cleaned_data)
            except SetFileRefused as refusal:
                for problem in refusal.problems:
                    form.add_error("file", f"{problem} {problem.remedy}")
            except SetRefused as refusal:
                form.add_error(None, f"{refusal} {refusal.remedy}")
            else:
                return redirect("admin:predictions_predictionset_change", asked.pk)
        context = {
            **self.admin_site.each_context(request),
            "form": form,
            "set": asked,
            "opts": self.opts,
            "title": "Import items",
        }
        return render(request, "admin/predictions/set_import.html", context)

    def _import(self, request: HttpRequest, asked: PredictionSet, given: dict[str, Any]) -> None:
        file = given["file"]
        content = set_imports.read_file(file.name, file.read(), skips_unknown=given["skip_unknown"])
        done = set_imports.import_set(
            asked.project, request.user, asked.name, content, mode=given["mode"], publishes=given["publish"], note=given["note"]
        )  # fmt: skip
        for note in set_imports.told(content):
            self.message_user(request, note, messages.WARNING)
        where = f"published as {done.published}" if done.published else "in the draft"
        self.message_user(request, f"{file.name}: {done.changed.in_words()}, {where}.", messages.SUCCESS)

    # --- Going -------------------------------------------------------------------------------------------------------
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A set that runs have answered stays."""
        return super().has_delete_permission(request, obj) and (obj is None or not curation.runs_on(obj).exists())

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """By stored totals. Django would load every item to list it."""
        sets = list(objs)
        versions = PredictionSetVersion.objects.filter(prediction_set__in=sets)
        counts = {"sets": len(sets), "versions": versions.count(), "items": sum(versions.values_list("item_count", flat=True))}
        kept = [f"{asked.name}: runs have answered it" for asked in sets if curation.runs_on(asked).exists()]
        return [str(asked) for asked in sets], counts, set(), kept

    def delete_model(self, request: HttpRequest, obj: PredictionSet) -> None:
        curation.delete_set(obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[PredictionSet]") -> None:
        for asked in queryset:
            curation.delete_set(asked)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return self._in_words(request, lambda: super(PredictionSetAdmin, self).changelist_view(request, extra_context))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return self._in_words(request, lambda: super(PredictionSetAdmin, self).delete_view(request, object_id, extra_context))

    def _in_words(self, request: HttpRequest, answer: Any) -> HttpResponse:
        try:
            made: HttpResponse = answer()
        except SetRefused as refusal:
            self.message_user(request, f"{refusal} {refusal.remedy}", messages.ERROR)
            return redirect("admin:predictions_predictionset_changelist")
        return made


class NewSetAdminForm(forms.ModelForm):
    """Refuses names that cannot be, and those in use, at their field."""

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        name, project = self.cleaned_data.get("name", "").strip(), self.cleaned_data.get("project")
        if project and PredictionSet.objects.filter(project=project, name=name).exists():
            self.add_error("name", f"The project {project.name} has a set of this name already.")
        try:
            curation.check_name(name)
        except SetRefused as refusal:
            self.add_error("name", f"{refusal} {refusal.remedy}")
        return given
