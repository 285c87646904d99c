"""Jobs: the history, one job with its results, and what may be done about it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.access import get_project
from accounts.models import Role
from datasets.models import JobStatus
from inference import jobs, results
from inference.access import get_job, get_result
from inference.forms import HistoryForm, KeepForm
from inference.models import InferenceJob, InferenceKind, InferenceResult, ResultState
from inference.requests import RequestRefused
from predictions.overlays import colour_of

PAGE = 50
RESULTS_PAGE = 60
GALLERY, TABLE = "gallery", "table"


def is_fragment(request: HttpRequest) -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request


@vary_on_headers("HX-Request")
@require_safe
def history(request: HttpRequest, slug: str) -> HttpResponse:
    """All jobs of the project, newest first; the list asks again by itself while one of them runs."""
    project = get_project(request.user, slug)
    form = HistoryForm(project, request.GET)
    form.is_valid()
    wanted = {name: value for name, value in form.cleaned_data.items() if value}
    found = InferenceJob.objects.filter(project=project).select_related("checkpoint", "created_by", "dataset", "split")
    if "status" in wanted:
        found = found.filter(status=wanted["status"])
    if "checkpoint" in wanted:
        found = found.filter(checkpoint=wanted["checkpoint"])
    if "since" in wanted:
        found = found.filter(created_at__date__gte=wanted["since"])
    page = Paginator(found.defer("report"), PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "form": form,
        "page": page,
        "tab": "list",
        "is_filtered": bool(wanted),
        "is_live": any(job.is_active for job in page),
        "api_url": f"/api/inference/jobs/?project={project.slug}",
    }
    return render(request, "inference/list.html#job-table" if is_fragment(request) else "inference/list.html", context)


@vary_on_headers("HX-Request")
@require_safe
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """The job with its results; for a poll its state alone, and when that has ended, a new page."""
    found = get_job(request.user, pk)
    if is_fragment(request):
        response = render(request, "inference/_progress.html", _state(found))
        if not found.is_active:
            response["HX-Refresh"] = "true"
        return response
    return render(request, "inference/job.html", _state(found) | _results(request, found))


def _state(found: InferenceJob) -> dict[str, Any]:
    return {
        "job": found,
        "project": found.project,
        "waiting": jobs.waiting(found),
        "lacking": sorted(found.report.get("lacking", {}).items(), key=lambda each: -each[1]),
        "split_url": _anew(found) if found.split_id else "",
        "api_url": f"/api/inference/jobs/{found.pk}/results/",
    }


def _anew(found: InferenceJob) -> str:
    """The form for the same checkpoint and split, with the same settings."""
    asked = vars(found.asked) | {"checkpoint": found.checkpoint_id, "split": found.split_id}
    return f"{reverse('inference:dataset_new', args=[found.project.slug])}?{urlencode(asked)}"


def _results(request: HttpRequest, found: InferenceJob) -> dict[str, Any]:
    asked = request.GET
    chosen = {
        "label": asked.get("label", "")[:300],
        "confidence": _fraction(asked.get("confidence")),
        "state": asked.get("state", ""),
    }
    view = TABLE if asked.get("view") == TABLE else GALLERY
    rows = results.selected(found, **chosen)
    if found.status != JobStatus.FAILED:
        rows = rows.exclude(state=ResultState.WAITING)
    page = Paginator(rows, RESULTS_PAGE).get_page(asked.get("page"))
    for row in page:
        row.job = found
    return {
        "page": page,
        "view": view,
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "labels": results.labels(found),
        "thumbs": {"categories": {}, "images": {row.pk: _thumb(row) for row in page}},
        "is_dataset": found.kind == InferenceKind.DATASET,
        "downloads": [] if found.kind == InferenceKind.DATASET else ["zip", "csv", "json", "coco"],
    }


def _fraction(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0


def _thumb(row: InferenceResult) -> dict[str, Any]:
    """Boxes of a thumbnail: colour, then xywh."""
    shown = results.shown_objects(row) if row.objects_found else []
    return {"w": row.width, "h": row.height, "boxes": [[colour_of(found["label"]), *found["bbox"]] for found in shown[:60]]}


@require_safe
def result(request: HttpRequest, pk: int) -> HttpResponse:
    """One image of a job with what was said of it, between its neighbours."""
    found = get_result(request.user, pk)
    near = InferenceResult.objects.filter(job=found.job_id)
    context = {
        "job": found.job,
        "project": found.job.project,
        "result": found,
        "objects": list(results.with_colours(results.shown_objects(found))),
        "bars": [{"label": name, "share": value, "colour": colour_of(name)} for name, value in found.top],
        "keep": KeepForm(found.job.project),
        "previous": near.filter(position__lt=found.position).order_by("-position").first(),
        "next": near.filter(position__gt=found.position).order_by("position").first(),
    }
    return render(request, "inference/result.html", context)


@require_POST
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_job(request.user, pk, Role.EDITOR)
    try:
        jobs.cancel(found)
    except RequestRefused as refusal:
        messages.error(request, refusal.in_words())
    return redirect(found)


@require_POST
def job_repeat(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_job(request.user, pk, Role.EDITOR)
    try:
        return redirect(jobs.repeat(found, request.user))
    except RequestRefused as refusal:
        messages.error(request, refusal.in_words())
        return redirect(found)


@require_POST
def job_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_job(request.user, pk, Role.EDITOR)
    count = found.image_count
    jobs.delete_job(found)
    messages.success(request, f"{found} is deleted, with {count:,} result{'' if count == 1 else 's'}.")
    return redirect("inference:list", found.project.slug)
