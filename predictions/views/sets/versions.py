"""Versions of a curated set: beginning and giving up a draft, its rules, publishing, and what differs between two."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Role
from predictions import curation, set_content
from predictions.prediction_sets import SetRefused
from predictions.set_content import COMPARED, SetDiff
from predictions.sets_access import get_set, get_version
from predictions.sets_forms import RulesForm, examples_of
from predictions.validators import IMAGE, TEXT
from predictions.versions_compared import compared
from predictions.views.sets.pages import INVALID, frame, refused

SHOWN = 100
LABELS = {name: name.capitalize() for name in COMPARED}


@require_POST
def begin(request: HttpRequest, pk: int) -> HttpResponse:
    asked = get_set(request.user, pk, Role.EDITOR)
    try:
        draft = curation.begin_draft(asked)
    except SetRefused as refusal:
        return refused(request, refusal, asked)
    messages.success(
        request,
        f"The draft of version {draft.number} holds {draft.item_count:,} items. Nobody is asked it before it is published.",
    )
    return redirect(asked)


@require_POST
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    asked = get_set(request.user, pk, Role.EDITOR)
    try:
        count = curation.discard_draft(asked)
    except SetRefused as refusal:
        return refused(request, refusal, asked)
    messages.success(request, f"The draft is discarded, with {count:,} items. Published versions are as they were.")
    return redirect(asked)


@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: HttpRequest, pk: int) -> HttpResponse:
    """The description, and what every answer to the draft must satisfy."""
    asked = get_set(request.user, pk, Role.EDITOR)
    draft = get_version(asked, "draft")
    form = RulesForm(request.POST if request.method == "POST" else None, draft)
    if request.method == "POST" and form.is_valid():
        try:
            curation.set_rules(asked, form.cleaned_data["validators"], form.cleaned_data["pass_threshold"])
        except SetRefused as refusal:
            return refused(request, refusal, asked)
        asked.description = request.POST.get("description", asked.description).strip()[:5000]
        asked.save(update_fields=["description"])
        messages.success(request, "Saved in the draft.")
        return redirect(asked)
    context = {**frame(asked), "form": form, "draft": draft, "examples": [*examples_of(TEXT), *examples_of(IMAGE)]}
    return render(request, "sets/rules.html", context, status=INVALID if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def publish(request: HttpRequest, pk: int) -> HttpResponse:
    """What publishing would change, and then doing it."""
    asked = get_set(request.user, pk, Role.EDITOR)
    draft = get_version(asked, "draft")
    old, _ = compared(asked, "", "draft")
    problem = None
    if request.method == "POST":
        try:
            version = curation.publish(asked, request.user, request.POST.get("note", ""))
        except SetRefused as refusal:
            problem = refusal
        else:
            messages.success(request, f"{version} is published. Jobs may ask it from now on, and it never changes.")
            return redirect(asked)
    context = {**frame(asked), "draft": draft, "old": old, "problem": problem, "note": request.POST.get("note", "")}
    context |= diff_context(set_content.diff(old, draft))
    return render(request, "sets/publish.html", context, status=INVALID if problem else 200)


@require_safe
def diff(request: HttpRequest, pk: int) -> HttpResponse:
    asked = get_set(request.user, pk)
    old, new = compared(asked, request.GET.get("from", ""), request.GET.get("to", ""))
    context = {
        **frame(asked),
        "versions": list(asked.versions.order_by("-number")),
        "old": old,
        "new": new,
        **diff_context(set_content.diff(old, new)),
        "api_url": f"/api/sets/{asked.pk}/diff/",
    }
    return render(request, "sets/diff.html", context)


def diff_context(found: SetDiff) -> dict[str, Any]:
    """What the pages show of a difference: counts, and the first of each kind."""
    changed = [
        {
            "change": change,
            "fields": [
                (LABELS[name], _shown(getattr(change.old, name)), _shown(getattr(change.new, name))) for name in change.fields
            ],
        }
        for change in found.changed[:SHOWN]
    ]
    return {"diff": found, "changed": changed, "added": found.added[:SHOWN], "removed": found.removed[:SHOWN], "shown": SHOWN}


def _shown(value: Any) -> str:
    """A field as text, lists by line, so that two can be compared word by word."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(each if isinstance(each, str) else set_content.json_line(each) for each in value)
    return value if isinstance(value, str) else set_content.json_line(value)
