"""Items that ask for attention: the worst of a run, and those of a job that flip or are never solved."""

import math
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from evaluation import shown, worst
from evaluation.forms import CompareForm
from evaluation.matrix import Matrix, solved_matrix
from evaluation.runs import comparable
from predictions import training
from predictions.models import PredictionRun, PredictionSetItem, TextPrediction
from predictions.trajectories import is_solved

LENGTHS = (10, 20, 50, 100)
SHOWN = 50


@require_safe
def worst_items(request: HttpRequest, pk: int) -> HttpResponse:
    """The top N of a run by any score, or by its validators."""
    run = get_object_or_404(comparable(request.user), pk=pk)
    asked = CompareForm(request.GET).asked()
    choices = worst.choices(run)
    has_checks = bool(run.totals.get("validated"))
    names = [*(["validators"] if has_checks else []), *(metric.name for metric in choices)]
    usual = "validators" if has_checks else "char_error_rate" if "char_error_rate" in names else next(iter(names), "f1")
    by = asked["metric"] if asked["metric"] in names else usual
    most = next((length for length in LENGTHS if str(length) == request.GET.get("most")), LENGTHS[1])
    found = worst.worst_of(run, by, most, asked["confidence"]) if names else None
    context: dict[str, Any] = {
        "project": run.project,
        "run": run,
        "by": by,
        "choices": choices,
        "has_checks": has_checks,
        "most": most,
        "lengths": LENGTHS,
        "found": found,
        "is_images": run.dataset_id is not None,
        "confidence": asked["confidence"],
    }
    if found:
        context["rows"] = _images(run, found, asked["confidence"]) if run.dataset_id else _texts(run, found)
    return render(request, "evaluation/worst.html", context)


def _texts(run: PredictionRun, found: worst.Worst) -> list[dict[str, Any]]:
    rows = TextPrediction.objects.filter(run=run, item__key__in=[key for key, _ in found.rows]).select_related("item")
    by_key = {row.item.key: row for row in rows}
    listed = []
    for key, value in found.rows:
        if row := by_key.get(key):
            failed = [check for check in row.validations or [] if check.get("outcome") != "pass"]
            truth = row.item.references if row.references is None else row.references
            listed.append({"row": row, "value": value, "failed": failed, "truth": truth, "solved": is_solved(row)})
    return listed


def _images(run: PredictionRun, found: worst.Worst, confidence: float) -> list[shown.Row]:
    values = [{"key": key, "before": None, "after": value, "gain": None} for key, value in found.rows]
    return shown.image_rows(run, run, values, confidence)


@require_safe
def unsteady(request: HttpRequest, pk: int) -> HttpResponse:
    """Items of a job that were solved and lost most often, and those that it has never solved."""
    job = training.get_job(request.user, pk)
    runs = list(PredictionRun.objects.of_training(job).only("pk", "epoch", "step", "job_id", "set_version_id"))
    found = solved_matrix(runs)
    flips = found.flips
    order = [place for place in (-flips).argsort(kind="stable").tolist() if flips[place]][:SHOWN]
    never = found.never_solved.tolist()
    named = _items(runs, [found.keys[place] for place in order + never[:SHOWN]])
    context = {
        "job": job,
        "project": job.project,
        "runs": runs,
        "flipping": [_told(found, place, named) | {"flips": int(flips[place])} for place in order],
        "flipping_count": int((flips > 0).sum()),
        "never": [_told(found, place, named) for place in never[:SHOWN]],
        "never_count": len(never),
        "item_count": len(found.keys),
    }
    return render(request, "evaluation/unsteady.html", context)


def _items(runs: list[PredictionRun], keys: list[Any]) -> dict[str, PredictionSetItem]:
    items = PredictionSetItem.objects.filter(version__in={run.set_version_id for run in runs}, key__in=keys)
    return {item.key: item for item in items}


def _told(found: Matrix, place: int, named: dict[str, PredictionSetItem]) -> dict[str, Any]:
    """An item with its outcome in every run that asked it: True, False or None."""
    outcomes = [None if math.isnan(value) else value == 1 for value in found.values[place].tolist()]
    return {"item": named.get(found.keys[place]), "strip": list(zip(found.runs, outcomes, strict=True))}
