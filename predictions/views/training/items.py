"""Items of a job: which stay wrong, and one of them across all epochs."""

from collections import defaultdict
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from predictions import texts, training, trajectories
from predictions.diffs import word_diff
from predictions.models import PredictionRun, PredictionSetItem, TextPrediction, TrainingJob
from predictions.record import RECORDED, Entry, record
from predictions.scoring import DEFINITIONS
from predictions.trajectories import is_solved
from predictions.views.training.jobs import frame, is_fragment

PAGE = 50
# A strip of more epochs than this is thinned out, the last one always kept.
STRIP = 60


@require_safe
def items(request: HttpRequest, pk: int) -> HttpResponse:
    """Every item with a strip of its outcomes over the epochs."""
    job = training.get_job(request.user, pk)
    runs = list(
        PredictionRun.objects.of_training(job)
        .select_related("set_version")
        .only("pk", "epoch", "step", "set_version__prediction_set_id")
    )
    # Of every set that is asked the version that was asked last.
    versions = {run.set_version.prediction_set_id: run.set_version_id for run in runs if run.set_version}
    asked = PredictionSetItem.objects.filter(version__in=versions.values()).order_by("version", "sample_index", "pk")
    page = Paginator(asked, PAGE).get_page(request.GET.get("page"))
    shown = _thinned(runs)
    outcomes = _outcomes(shown, [item.key for item in page])
    for item in page:
        item.strip = [(run, outcomes[item.key].get(run.pk)) for run in shown]
    return render(request, "training/items.html", {**frame(job, "items"), "page": page, "runs": shown})


def _thinned(runs: list[PredictionRun]) -> list[PredictionRun]:
    if len(runs) <= STRIP:
        return runs
    every = len(runs) / STRIP
    return [runs[int(number * every)] for number in range(STRIP - 1)] + [runs[-1]]


def _outcomes(runs: list[PredictionRun], keys: list[str]) -> dict[str, dict[int, bool | None]]:
    """By key: versions of a set that share an item are one story."""
    rows = TextPrediction.objects.filter(run__in=runs, item__key__in=keys).select_related("item")
    found: dict[str, dict[int, bool | None]] = defaultdict(dict)
    for row in rows.only("run_id", "item__key", "exact_match", "passed"):
        found[row.item.key][row.run_id] = is_solved(row)
    return found


@require_safe
def item(request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """One item across all epochs: a strip, the answer of the chosen epoch with its diff, the scores as a line."""
    job = training.get_job(request.user, pk)
    rows = texts.of_item(job, key)
    if not rows:
        raise Http404
    for row in rows:
        row.solved = is_solved(row)
    place = _place(rows, request.GET.get("run", ""))
    against = "previous" if request.GET.get("against") == "previous" else "reference"
    context: dict[str, Any] = {
        **frame(job, "items"),
        "key": key,
        "rows": rows,
        "place": place,
        "against": against,
        "moment": _moment(rows, place, against) | {"record": _record_of(rows[place])},
        "scores": DEFINITIONS,
    }
    if is_fragment(request):
        return render(request, "training/item.html#moment", context)
    show_all = request.GET.get("view") == "all"
    context |= {
        "question": rows[-1].item,
        "latest_answer": rows[-1].pk,
        "story": trajectories.tell(rows),
        "others": _other_jobs(request, job, key),
        "moments": [_moment(rows, number, against) for number in range(len(rows))] if show_all else None,
        "api_url": f"/api/training/predictions/{job.job_id}/samples/{rows[-1].sample_index}/trend/?project={job.project.slug}",
    }
    return render(request, "training/item.html", context)


def _place(rows: list[TextPrediction], run: str) -> int:
    return next((number for number, row in enumerate(rows) if str(row.run_id) == run), len(rows) - 1)


def _moment(rows: list[TextPrediction], place: int, against: str) -> dict[str, Any]:
    """An answer and what it differs in: from the reference, or from the answer before."""
    row = rows[place]
    references = row.item.references if row.references is None else row.references
    previous = rows[place - 1] if place else None
    other = previous.prediction if against == "previous" and previous else references[0] if references else None
    named = [(definition, getattr(row, name)) for name, definition in DEFINITIONS.items() if getattr(row, name) is not None]
    return {
        "row": row,
        "references": references,
        "pieces": None if other is None else word_diff(other, row.prediction),
        "compared_with": "the answer before" if against == "previous" and previous else "the reference" if references else "",
        "previous": previous,
        "next": rows[place + 1] if place + 1 < len(rows) else None,
        "scores": named,
        "place": place,
    }


def _record_of(row: TextPrediction) -> list[Entry]:
    return record(PredictionRun.objects.select_related(*RECORDED).defer("totals").get(pk=row.run_id))


def _other_jobs(request: HttpRequest, job: TrainingJob, key: str) -> list[dict[str, Any]]:
    """The latest word of other jobs of the project on the same item."""
    rows = TextPrediction.objects.filter(item__key=key, run__job__project=job.project, run__is_current=True)
    rows = rows.exclude(run__job=job).select_related("run__job").order_by("run__job_id", "-run__epoch", "-run__step")
    latest = rows.distinct("run__job_id")[:20]
    return [{"job": row.run.job, "row": row, "solved": is_solved(row)} for row in latest]
