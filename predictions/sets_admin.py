"""Sets of questions in the admin, as curators work: drafts are edited, published versions are looked at."""

import io
import json
import zipfile
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

from datasets.admin import list_link
from datasets.large_tables import LargeTableAdmin, by_number
from predictions import curation, set_imports
from predictions.models import PredictionSet, PredictionSetItem, PredictionSetVersion, SetKind
from predictions.prediction_sets import SetRefused
from predictions.set_files import SetFileRefused
from predictions.set_files.base import BadField, checked_validators, made_item
from predictions.set_imports import MODES
from predictions.sets_downloads import download

ITEMS_PER_PAGE = 25
EDITED = ["key", "prompt", "messages", "references", "validators", "tags", "weight", "notes"]
WIDE = {"rows": 3, "cols": 40}
NARROW = {"rows": 3, "cols": 28, "spellcheck": "false"}


def is_draft(version: PredictionSetVersion | None) -> bool:
    return version is not None and version.is_open and version.prediction_set.is_curated


# --- Sets --------------------------------------------------------------------------------------------------------------------
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


# --- Versions ----------------------------------------------------------------------------------------------------------------
class ItemAdminForm(forms.ModelForm):
    """An item in a row of its draft. References stand one in a line, or as a list in JSON."""

    references = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs=NARROW), help_text="One a line, or a list in JSON."
    )
    tags = forms.CharField(required=False, widget=forms.TextInput(attrs={"size": 16}), help_text="With commas.")
    key = forms.CharField(required=False, max_length=120, widget=forms.TextInput(attrs={"size": 16}))

    class Meta:
        model = PredictionSetItem
        fields = EDITED
        widgets = {
            "prompt": forms.Textarea(attrs=WIDE),
            "messages": forms.Textarea(attrs=NARROW),
            "validators": forms.Textarea(attrs=NARROW),
            "notes": forms.Textarea(attrs={"rows": 3, "cols": 20}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        item = self.instance
        if item.pk:
            self.initial["references"] = _as_lines(item.references)
            self.initial["tags"] = ", ".join(item.tags)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        # Lists in any case: the model's own checks run also where something is wrong already.
        typed = _from_lines(given.get("references") or "")
        given["references"] = typed if isinstance(typed, list) and all(isinstance(each, str) for each in typed) else []
        given["tags"] = [tag.strip() for tag in (given.get("tags") or "").split(",") if tag.strip()]
        if self.errors:
            return given
        before = curation.as_record(self.instance) if self.instance.pk else None
        prompt = given.get("prompt")
        if not prompt and (given.get("messages") or (before and before.image) or not (before and before.prompt == "")):
            prompt = None
        elif prompt:
            prompt = prompt.replace("\r\n", "\n")
        try:
            record = made_item(
                row=0,
                key=given.get("key"),
                prompt=prompt or (before.prompt if before and before.prompt == "" else None),
                messages=given.get("messages") or None,
                image=before.image if before else None,
                references=typed,
                validators=given.get("validators") or [],
                tags=given.get("tags"),
                weight=given.get("weight"),
                notes=given.get("notes"),
            )
        except BadField as bad:
            self.add_error(bad.name if bad.name in self.fields else None, f"{bad} {bad.remedy}")
            return given
        followed = before is not None and before.key == record.key == curation.key_of_record(before)
        key = curation.key_of_record(record) if followed else record.key
        return {**given, **{name: getattr(record, name) for name in EDITED}, "key": key}


def _as_lines(references: list[str]) -> str:
    """One a line where that is unambiguous, else as JSON."""
    plain = "\n".join(references)
    return plain if _from_lines(plain) == references else json.dumps(references, ensure_ascii=False)


def _from_lines(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return [line for line in text.replace("\r\n", "\n").split("\n") if line]


class PagedItems(BaseInlineFormSet):
    """The items of one page. What is posted is found by its ids, whatever others have added meanwhile."""

    request: HttpRequest

    def get_queryset(self) -> Any:
        if not hasattr(self, "_page"):
            items = PredictionSetItem.objects.filter(version=self.instance).order_by("sample_index", "pk")
            if self.is_bound:
                count = int(self.data.get(f"{self.prefix}-INITIAL_FORMS") or 0)
                posted = [self.data.get(f"{self.prefix}-{number}-id", "") for number in range(min(count, 1000))]
                self._page = list(items.filter(pk__in=[pk for pk in posted if pk.isdecimal()]))
            else:
                start = (page_of(self.request) - 1) * ITEMS_PER_PAGE
                self._page = list(items[start : start + ITEMS_PER_PAGE])
        return self._page

    def initial_form_count(self) -> int:
        return super().initial_form_count() if self.is_bound else len(self.get_queryset())


def page_of(request: HttpRequest) -> int:
    text = request.GET.get("page", "")
    return max(1, int(text)) if text.isdecimal() and len(text) < 7 else 1


class ItemInline(admin.TabularInline):
    model = PredictionSetItem
    form = ItemAdminForm
    formset = PagedItems
    fields = EDITED
    extra = 1

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        made.request = request
        return made

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_draft(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_draft(obj) and super().has_delete_permission(request, obj)


class RulesAdminForm(forms.ModelForm):
    def clean_validators(self) -> list[dict[str, Any]]:
        try:
            return checked_validators(self.cleaned_data.get("validators") or [])
        except BadField as bad:
            raise ValidationError(f"{bad} {bad.remedy}") from None


@admin.register(PredictionSetVersion)
class PredictionSetVersionAdmin(admin.ModelAdmin):
    """Reached from its set, or by a search. A draft can be changed, and nothing else."""

    form = RulesAdminForm
    list_display = ["__str__", "project", "kind", "state", "items", "content_hash", "note", "published_at", "published_by"]
    list_filter = ["prediction_set__kind"]
    list_select_related = ["prediction_set__project", "published_by"]
    search_fields = ["prediction_set__name", "content_hash", "note"]
    ordering = ["prediction_set__name", "-number"]
    fields = ["prediction_set", "number", "state", "content_hash", "item_count", "validators", "pass_threshold", "note", "source",
              "seed", "published_at", "published_by", "pages"]  # fmt: skip
    readonly_fields = [name for name in fields if name not in ("validators", "pass_threshold")]
    inlines = [ItemInline]

    @admin.display(ordering="prediction_set__project")
    def project(self, version: PredictionSetVersion) -> str:
        return str(version.prediction_set.project)

    @admin.display(ordering="prediction_set__kind")
    def kind(self, version: PredictionSetVersion) -> str:
        return version.prediction_set.get_kind_display()

    @admin.display
    def state(self, version: PredictionSetVersion) -> str:
        return "draft" if is_draft(version) else "open" if version.is_open else "published"

    @admin.display(ordering="item_count")
    def items(self, version: PredictionSetVersion) -> str:
        return list_link("predictions_predictionsetitem", f"{version.item_count:,}", version=version.pk)

    @admin.display(description="pages of items")
    def pages(self, version: PredictionSetVersion) -> str:
        count = -(-version.item_count // ITEMS_PER_PAGE)
        links = ((f"?page={number}", number) for number in range(1, count + 1))
        return format_html_join(" ", '<a href="{}">{}</a>', links) or "one"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PredictionSetVersion]":
        return super().get_queryset(request).select_related("prediction_set__project")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # drafts are begun, not added

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or is_draft(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # drafts are discarded on the set's page, published versions stay

    def save_model(self, request: HttpRequest, obj: PredictionSetVersion, form: Any, change: bool) -> None:
        curation.locked_draft(obj.prediction_set, obj)
        obj.save(update_fields=["validators", "pass_threshold"])

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """New items come last. The draft has been locked by then."""
        made = formset.save(commit=False)
        place = curation.next_place(form.instance)
        for item in made:
            if item.pk is None:
                item.sample_index, place = place, place + 1
            item.save()
        for item in formset.deleted_objects:
            item.delete()
        curation.recount(form.instance)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except SetRefused as refusal:
            self.message_user(request, f"{refusal} {refusal.remedy}", messages.ERROR)
            return redirect("admin:predictions_predictionsetversion_changelist")

    def response_post_save_change(self, request: HttpRequest, obj: PredictionSetVersion) -> HttpResponseRedirect:
        return redirect("admin:predictions_predictionset_change", obj.prediction_set_id)


@admin.register(PredictionSetItem)
class PredictionSetItemAdmin(LargeTableAdmin):
    """Looked at and found here; edited in their draft."""

    list_display = ["key", "version", "sample_index", "question", "references", "tags", "weight"]
    list_select_related = ["version__prediction_set"]
    ordering = ["version_id", "sample_index", "pk"]
    search_help_text = "A whole key, a whole tag of curated sets, or words of their prompts."

    @admin.display
    def question(self, item: PredictionSetItem) -> str:
        return item.asked[:80]

    def find(self, term: str) -> Q:
        curated = Q(version__in=PredictionSetVersion.objects.filter(prediction_set__kind=SetKind.CURATED))
        return Q(key=term) | by_number(term) | (curated & (Q(prompt__icontains=term) | Q(tags__contains=[term])))
