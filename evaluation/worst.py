"""The worst items of a run: by any score, or by how many of its validators failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, IntegerField
from django.db.models.expressions import Func

from evaluation.scores import CONFIDENCE, CUSTOM, Metric, metric_of, scores_of
from predictions.models import PredictionRun, TextPrediction
from predictions.scoring import SCORE_NAMES

VALIDATORS = "validators"


class FailedValidators(Func):
    """How many validators of a row did not pass."""

    function = "jsonb_array_length"
    template = """%(function)s(jsonb_path_query_array(%(expressions)s, '$[*] ? (@.outcome != "pass")'))"""
    output_field = IntegerField()


@dataclass(frozen=True)
class Worst:
    """Keys of items (of images: ids of samples), worst first, with their score: or the number of failed validators."""

    metric: Metric | None
    rows: Sequence[tuple[Any, float]]
    total: int


def worst_of(run: PredictionRun, by: str, most: int, confidence: float = CONFIDENCE) -> Worst:
    if by == VALIDATORS:
        return _by_validators(run, most)
    scores = scores_of(run, confidence)
    metric = metric_of(by)
    values = scores.values.get(by, np.full(len(scores.keys), np.nan))
    order = np.argsort(-values if metric.lower_is_better else values, kind="stable")
    known = [place for place in order.tolist() if np.isfinite(values[place])]
    return Worst(metric, [(scores.keys[place], float(values[place])) for place in known[:most]], len(known))


def _by_validators(run: PredictionRun, most: int) -> Worst:
    rows = TextPrediction.objects.filter(run=run, passed=False).annotate(failed=FailedValidators(F("validations")))
    listed = rows.order_by("-failed", "sample_index", "pk").values_list("item__key", "failed")
    return Worst(None, [(key, float(failed)) for key, failed in listed[:most]], rows.count())


def choices(run: PredictionRun) -> list[Metric]:
    """By which scores its items may be sorted: those that its totals hold, of images that of their task."""
    if run.dataset is not None:
        return [metric_of("exact_match" if run.dataset.task_type == "classification" else "f1")]
    return [metric_of(name if name in SCORE_NAMES else CUSTOM + name) for name in run.totals.get("scores", {})]
