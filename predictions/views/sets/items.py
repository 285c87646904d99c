"""Items of a draft: one by one on the set's page, and selections from other pages."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import get_project
from accounts.models import Project, Role
from datasets.models import Sample
from predictions import curation, draft_items, set_content
from predictions.models import PredictionSet, PredictionSetItem, SetKind, TextPrediction
from predictions.prediction_sets import SetRefused
from predictions.set_files import SetFileRefused
from predictions.set_files.base import ItemRecord
from predictions.sets_access import get_set, get_version
from predictions.sets_forms import ItemForm, examples_of
from predictions.validators import IMAGE, TEXT
from predictions.views.sets.pages import INVALID, frame, is_fragment, refused

MOST_SELECTED = 1000


@require_http_methods(["GET", "HEAD", "POST"])
def item_add(request: HttpRequest, pk: int) -> HttpResponse:
    asked = get_set(request.user, pk, Role.EDITOR)
    form = ItemForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and form.record:
        try:
            changed = draft_items.put_items(asked, [form.record], updates=False)
        except (SetRefused, SetFileRefused) as refusal:
            form.add_error(None, f"{refusal} {refusal.remedy}")
        else:
            if changed.same:
                form.add_error(
                    None, "The draft holds an item of this key already. Change that one, or give this one another key."
                )
            else:
                messages.success(request, "The item is in the draft.")
                return redirect("sets:item_add" if "another" in request.POST else "sets:set", asked.pk)
    return render(request, "sets/item.html", _form_context(asked, form, None), status=INVALID if form.errors else 200)


def _form_context(asked: PredictionSet, form: ItemForm, item: PredictionSetItem | None) -> dict[str, Any]:
    applies_to = IMAGE if form.before and form.before.image else TEXT
    return {**frame(asked), "form": form, "item": item, "examples": examples_of(applies_to)}


@require_http_methods(["GET", "HEAD", "POST"])
def item(request: HttpRequest, pk: int, item_pk: int) -> HttpResponse:
    """One item of the draft to edit: in its row of the table, or as a page of its own."""
    asked = get_set(request.user, pk, Role.EDITOR)
    shown = get_object_or_404(
        PredictionSetItem.objects.select_related("version", "sample__dataset"), pk=item_pk, version__prediction_set=asked
    )
    if not shown.version.is_open or not asked.is_curated:
        return refused(request, _frozen(shown), asked)
    if is_fragment(request) and "row" in request.GET:
        return _row(request, asked, shown)
    form = ItemForm(request.POST if request.method == "POST" else None, item=shown)
    if request.method == "POST" and form.is_valid() and form.record:
        try:
            changed = draft_items.edit_item(asked, shown.key, form.record)
        except (SetRefused, SetFileRefused) as refusal:
            form.add_error(None, f"{refusal} {refusal.remedy}")
        else:
            return _row(request, asked, changed) if is_fragment(request) else redirect("sets:set", asked.pk)
    template = "sets/_item_edit.html" if is_fragment(request) else "sets/item.html"
    return render(request, template, _form_context(asked, form, shown), status=INVALID if form.errors else 200)


def _frozen(shown: PredictionSetItem) -> SetRefused:
    return SetRefused(f"{shown.version} is published and never changes.", "Begin a draft, and change the item there.")


def _row(request: HttpRequest, asked: PredictionSet, shown: PredictionSetItem) -> HttpResponse:
    return render(request, "sets/_item_row.html", {**frame(asked), "item": shown, "version": get_version(asked, "draft")})


@require_POST
def items_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """The selected items, by key."""
    asked = get_set(request.user, pk, Role.EDITOR)
    try:
        count = draft_items.remove_items(asked, request.POST.getlist("key"))
    except SetRefused as refusal:
        return refused(request, refusal, asked)
    messages.success(request, f"{count:,} item{'' if count == 1 else 's'} removed from the draft.")
    return redirect(_back(request, asked))


# --- From other pages --------------------------------------------------------------------------------------------------------
@require_POST
def collect(request: HttpRequest, slug: str) -> HttpResponse:
    """Add to a golden set: answers, items or images that somebody selected, to a set's draft or to that of a new set."""
    project = get_project(request.user, slug, Role.EDITOR)
    records = [record for name, find in SOURCES.items() for record in find(project, numbers(request, name))]
    if not records:
        messages.warning(request, "Nothing is selected. Tick some rows, then add them.")
        return redirect(_back(request))
    try:
        asked = chosen_set(request, project)
        changed = draft_items.put_items(asked, records, updates=False)
    except (SetRefused, SetFileRefused) as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
        return redirect(_back(request))
    messages.success(request, f"Draft of {asked.name}: {changed.in_words()}.")
    return redirect(_back(request, asked))


def numbers(request: HttpRequest, name: str) -> list[int]:
    return [int(value) for value in request.POST.getlist(name)[:MOST_SELECTED] if value.isdecimal() and len(value) < 19]


def chosen_set(request: HttpRequest, project: Project) -> PredictionSet:
    """The set that was chosen, or a new one of the name that was typed."""
    name = request.POST.get("new_set", "").strip()
    if name:
        found = PredictionSet.objects.filter(project=project, name=name, kind=SetKind.CURATED).first()
        return found or curation.create_set(project, request.user, name)
    chosen = request.POST.get("set", "")
    if not chosen.isdecimal() or len(chosen) > 18:
        raise SetRefused("No set is chosen.", "Choose one, or name a new one.")
    found = PredictionSet.objects.filter(project=project, pk=int(chosen), kind=SetKind.CURATED).first()
    if found is None:
        raise Http404
    return found


def _of_answers(project: Project, pks: list[int]) -> list[ItemRecord]:
    answers = (
        TextPrediction.objects.filter(pk__in=pks, run__project=project).select_related("item").order_by("sample_index", "pk")
    )
    return draft_items.records_of_answers(answers) if pks else []


def _of_items(project: Project, pks: list[int]) -> list[ItemRecord]:
    items = PredictionSetItem.objects.filter(pk__in=pks, version__prediction_set__project=project).order_by(
        "sample_index", "pk"
    )
    return [set_content.as_record(each) for each in items] if pks else []


def _of_samples(project: Project, pks: list[int]) -> list[ItemRecord]:
    samples = Sample.objects.filter(pk__in=pks, dataset__project=project).select_related("dataset", "split").order_by("pk")
    return draft_items.records_of_images(samples) if pks else []


SOURCES: dict[str, Callable[[Project, list[int]], list[ItemRecord]]] = {
    "answer": _of_answers,
    "item": _of_items,
    "sample": _of_samples,
}


def _back(request: HttpRequest, asked: PredictionSet | None = None) -> str:
    """To where somebody came from, where that is a page of ours."""
    there = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(there, {request.get_host()}, require_https=request.is_secure()):
        return there
    return reverse("sets:set", args=[asked.pk]) if asked else reverse("accounts:home")
