"""What the pages of both kinds of imports share: one address shows a job as a page, as progress, and as its new state."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from datasets.importers.problems import ImportRefused
from datasets.models import JobStatus
from datasets.models.imports import ImportJob
from datasets.reports import open_rejects

PATIENCE = timedelta(seconds=10)
INVALID = 422
KINDS = {"samples": "images", "annotations": "annotations", "predictions": "predictions", "categories": "classes"}
# What fits, and would nevertheless be wrong.
SUSPICIOUS = {"ids_shifted_by_one", "box_looks_like_xyxy", "box_looks_like_fraction"}
ACTIONS = ["reexamine", "confirm", "cancel", "retry", "rejects"]


def is_fragment(request: HttpRequest) -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request


def show_job(request: HttpRequest, job: ImportJob, refusal: ImportRefused | None = None) -> HttpResponse:
    """The whole page; or for a poll the progress alone, until the state changes and replaces all of it."""
    context = _job_context(job) | {"refusal": refusal}
    if not is_fragment(request):
        return render(request, "datasets/imports/detail.html", context)
    if request.method == "GET" and job.is_active:
        return render(request, "datasets/imports/_progress.html", context)
    context["is_swapped_in"] = True  # counts above it are renewed as well
    response = render(request, "datasets/imports/_state.html", context, status=INVALID if refusal else 200)
    response["HX-Retarget"], response["HX-Reswap"] = "#import-state", "outerHTML"
    return response


def act_on_job(request: HttpRequest, job: ImportJob, action: Callable[[], object]) -> HttpResponse:
    """Do it, and show the job as it is then. A refusal is told beside the buttons."""
    refusal = None
    try:
        action()
    except ImportRefused as error:
        refusal = error
    job.refresh_from_db()
    if is_fragment(request):
        return show_job(request, job, refusal)
    if refusal:
        messages.error(request, refusal.in_words())
    return redirect(job.get_absolute_url())


def rejects_response(job: ImportJob) -> FileResponse:
    """The rejected rows as JSON Lines."""
    file = open_rejects(job)
    if file is None:
        raise Http404
    return FileResponse(file, as_attachment=True, filename=f"rejected-{job.pk}.jsonl", content_type="application/jsonl")


def _job_context(job: ImportJob) -> dict[str, Any]:
    app = job._meta.app_label
    is_predictions = app == "predictions"
    return {
        "job": job,
        "dataset": job.dataset,
        "is_predictions": is_predictions,
        "actions": {name: reverse(f"{app}:import_{name}", args=[job.pk]) for name in ACTIONS},
        "new_url": reverse(f"{app}:import_new", args=[job.dataset_id]),
        "anew_url": f"{reverse(f'{app}:import_new', args=[job.dataset_id])}?{urlencode(_said(job))}",
        "api_url": reverse(f"{'prediction-import' if is_predictions else 'import'}-detail", args=[job.pk]),
        "step": 2 if job.dry_run else 3,
        "is_left_alone": job.status == JobStatus.PENDING and timezone.now() - job.queued_at > PATIENCE,
        "took": (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else None,
        "existing": job.existing() if job.status == JobStatus.DRAFT else None,
        "suspicions": [problem for problem in job.report.get("problems", []) if problem["reason"] in SUSPICIOUS],
        "is_blocked": any(problem["reason"] == "category_conflict" for problem in job.report.get("problems", [])),
        "refused": _refusal(job),
        **_report_in_words(job.report),
    }


def _said(job: ImportJob) -> dict[str, Any]:
    """What the form was told, for starting anew with one thing changed."""
    source = {"place": "server", "path": job.source_path} if job.source_path else {"upload": job.upload_id}
    said = source | {"split": job.split_name, "name": getattr(job, "run_name", ""), "importer": getattr(job, "importer", "")}
    return {name: value for name, value in said.items() if value}


def _refusal(job: ImportJob) -> dict[str, str] | None:
    """Why it failed, in parts; None where it failed by a fault of ours, or not at all."""
    told = job.report.get("refusal")
    return told if told and job.status == JobStatus.FAILED and job.error.startswith(told["message"]) else None


def _report_in_words(report: dict[str, Any]) -> dict[str, Any]:
    """Read = stored + rejected, a row per kind; what would be stored; and the whole in one sentence."""
    counts = [
        {"kind": word, **{name: report[name].get(kind, 0) for name in ("read", "stored", "rejected")}}
        for kind, word in KINDS.items()
        if kind in report.get("read", {})
    ]
    told = [row for row in counts if row["kind"] != "classes"]
    read, stored, rejected = (sum(row[name] for row in told) for name in ("read", "stored", "rejected"))
    if not stored:
        headline = "Nothing of it fits" if read else "Nothing can be matched yet"
    else:
        headline = f"{rejected:,} of {read:,} rows do not fit" if rejected else "Everything fits"
    return {
        "counts": counts,
        "headline": f"{report.get('importer_label', '')}: {headline[0].lower()}{headline[1:]}",
        "stored_words": " and ".join(f"{row['stored']:,} {_noun(row)}" for row in told),
    }


def _noun(row: dict[str, Any]) -> str:
    return str(row["kind"][:-1] if row["stored"] == 1 else row["kind"])
