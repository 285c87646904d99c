"""Items x runs: where up to twenty runs disagree."""

from typing import Any

import numpy as np
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.access import get_project
from datasets.models import Sample
from evaluation.forms import MOST_IN_MATRIX, CompareForm, run_ids
from evaluation.matrix import Matrix, matrix_of
from evaluation.metrics.columns import Ints
from evaluation.runs import find_runs, of_job
from evaluation.scores import METRICS, Metric, metric_of
from predictions import training
from predictions.models import PredictionRun, PredictionSetItem

PAGE = 100
LEVELS = 5


@require_safe
def matrix(request: HttpRequest, slug: str) -> HttpResponse:
    """Of the runs in the address, or of a job's."""
    project = get_project(request.user, slug)
    asked = CompareForm(request.GET).asked()
    runs = find_runs(request.user, run_ids(request.GET, "run", MOST_IN_MATRIX))
    jobs = run_ids(request.GET, "job", 1)
    if not runs and jobs:
        runs = of_job(request.user, training.get_job(request.user, jobs[0]), MOST_IN_MATRIX)
    metrics = _metrics(runs)
    metric = next((each for each in metrics if each.name == asked["metric"]), metrics[0])
    found = matrix_of(runs, metric.name, confidence=asked["confidence"])
    order = found.by_disagreement()
    page = Paginator(order, PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "runs": runs,
        "metric": metric,
        "metrics": metrics,
        "page": page,
        "rows": _rows(found, page.object_list, metric),
        "disagreeing": int((found.disagreement > 0).sum()),
        "asked": asked,
    }
    return render(request, "evaluation/matrix.html", context)


def _metrics(runs: list[PredictionRun]) -> list[Metric]:
    """What the first run is measured by."""
    if not runs:
        return [METRICS["exact_match"]]
    if runs[0].dataset is not None:
        return [metric_of("exact_match" if runs[0].dataset.task_type == "classification" else "f1")]
    scored = runs[0].totals.get("scores", {})
    names = [*(["passed"] if runs[0].totals.get("validated") else []), *(name for name in METRICS if name in scored)]
    return [metric_of(name) for name in names] or [METRICS["exact_match"]]


def _rows(found: Matrix, order: Ints, metric: Metric) -> list[dict[str, Any]]:
    """One row per item; each cell with its mark or number, and where it leads."""
    keys = [found.keys[place] for place in order]
    is_text = bool(found.runs) and found.runs[0].dataset_id is None
    named = _texts(found.runs, keys) if is_text else _samples(keys)
    low, high = _range(found, metric)
    rows = []
    for place, key in zip(order, keys, strict=True):
        cells = [
            {"url": _url(run, key), **_cell(value, metric, low, high)}
            for run, value in zip(found.runs, found.values[place].tolist(), strict=True)
        ]
        rows.append({"key": key, "name": named.get(key, key), "cells": cells})
    return rows


def _range(found: Matrix, metric: Metric) -> tuple[float, float]:
    known = found.values[np.isfinite(found.values)]
    if metric.is_share or not len(known):
        return 0.0, 1.0
    return float(known.min()), float(known.max())


def _cell(value: float, metric: Metric, low: float, high: float) -> dict[str, Any]:
    if not np.isfinite(value):
        return {"outcome": "none", "text": "–"}
    if metric.is_binary:
        return {"outcome": "right", "text": "✓"} if value == 1 else {"outcome": "wrong", "text": "✗"}
    share = (value - low) / (high - low) if high > low else 0.5
    level = min(LEVELS - 1, int((1 - share if metric.lower_is_better else share) * LEVELS))
    return {"level": level, "text": f"{value:.{min(2, metric.decimals)}f}"}


def _url(run: PredictionRun, key: Any) -> str:
    """The item over all epochs, or the image with this run on it."""
    if run.dataset_id is not None:
        return f"{reverse('predictions:sample', args=[run.dataset_id, key])}?run={run.pk}"
    return f"{reverse('training:item', args=[run.job_id, key])}?run={run.pk}"


def _texts(runs: Any, keys: list[Any]) -> dict[Any, str]:
    items = PredictionSetItem.objects.filter(version__in={run.set_version_id for run in runs}, key__in=keys)
    return {item.key: item.asked[:200] for item in items.only("key", "prompt", "messages")}


def _samples(keys: list[Any]) -> dict[Any, str]:
    return dict(Sample.objects.filter(pk__in=keys).values_list("pk", "file_name"))
