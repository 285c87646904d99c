"""Versions of sets and their items in the admin: a draft is edited in lines, a published version is looked at."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.html import format_html_join

from datasets.admin import list_link
from datasets.large_tables import LargeTableAdmin, by_number
from predictions import curation, draft_items, set_content
from predictions.models import PredictionSetItem, PredictionSetVersion, SetKind
from predictions.prediction_sets import SetRefused
from predictions.set_files.base import BadField, checked_validators, made_item

ITEMS_PER_PAGE = 25
EDITED = ["key", "prompt", "messages", "references", "validators", "tags", "weight", "notes"]
WIDE = {"rows": 3, "cols": 40}
NARROW = {"rows": 3, "cols": 28, "spellcheck": "false"}


def is_draft(version: PredictionSetVersion | None) -> bool:
    return version is not None and version.is_open and version.prediction_set.is_curated


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
        before = set_content.as_record(self.instance) if self.instance.pk else None
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
        followed = before is not None and before.key == record.key == draft_items.key_of_record(before)
        key = draft_items.key_of_record(record) if followed else record.key
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
        place = draft_items.next_place(form.instance)
        for item in made:
            if item.pk is None:
                item.sample_index, place = place, place + 1
            item.save()
        for item in formset.deleted_objects:
            item.delete()
        draft_items.recount(form.instance)

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
