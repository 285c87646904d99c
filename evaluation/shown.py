"""The items of a comparison as a page shows them: which, in what order, and what both runs said of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.models import Category, Sample
from evaluation.metrics.columns import Ints
from evaluation.pairing import Pairing
from evaluation.scores import Metric
from evaluation.statistics import EQUAL_WITHIN
from predictions import overlays
from predictions.models import PredictionRun, PredictionSetItem, TextPrediction


def places(pairing: Pairing, metric: Metric, show: str, tag: str = "") -> Ints:
    """Positions of the items to show, regressions first and the largest of them on top; unscored ones last."""
    chosen = pairing.of_tag(tag)
    gains = pairing.gains(metric)[chosen]
    with np.errstate(invalid="ignore"):
        kept = {
            "regressed": gains < -EQUAL_WITHIN,
            "improved": gains > EQUAL_WITHIN,
            "unchanged": np.abs(gains) <= EQUAL_WITHIN,
            "changed": np.abs(gains) > EQUAL_WITHIN,
        }.get(show, np.ones(len(chosen), bool))
    found = chosen[kept]
    # What got better is read from the largest gain on.
    keys = -gains[kept] if show == "improved" else gains[kept]
    return found[np.argsort(keys, kind="stable")]


@dataclass(frozen=True)
class Row:
    """One item: its values on both sides, and what the page needs to show of it."""

    key: Any
    before: float | None
    after: float | None
    gain: float | None
    old: Any = None
    new: Any = None
    sample: Sample | None = None
    truth: Any = None
    size: tuple[float, float] = (0, 0)

    @property
    def delta(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before


def values_at(pairing: Pairing, metric: Metric, chosen: Ints) -> list[dict[str, Any]]:
    before, after = pairing.sides(metric.name)
    gains = pairing.gains(metric)
    return [
        {
            "key": pairing.keys[place],
            "before": _value(before[place]),
            "after": _value(after[place]),
            "gain": _value(gains[place]),
        }
        for place in chosen.tolist()
    ]


def _value(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def text_rows(baseline: PredictionRun, candidate: PredictionRun, values: Sequence[dict[str, Any]]) -> list[Row]:
    """With the answers of both runs, in two queries."""
    keys = [each["key"] for each in values]
    old, new = _answers(baseline, keys), _answers(candidate, keys)
    return [
        Row(**each, old=old[each["key"]], new=new[each["key"]]) for each in values if each["key"] in old and each["key"] in new
    ]


def _answers(run: PredictionRun, keys: Sequence[str]) -> dict[str, TextPrediction]:
    rows = TextPrediction.objects.filter(run=run, item__key__in=list(keys)).select_related("item")
    return {row.item.key: row for row in rows}


def image_rows(
    baseline: PredictionRun, candidate: PredictionRun, values: Sequence[dict[str, Any]], confidence: float
) -> list[Row]:
    """With the boxes of the truth and of both runs, ready to be drawn, in four queries."""
    samples = {sample.pk: sample for sample in Sample.objects.filter(pk__in=[each["key"] for each in values])}
    drawn = overlays.thumbs(list(samples.values()), [baseline, candidate])
    colours = overlays.category_entries(Category.objects.filter(dataset=baseline.dataset_id))
    rows = []
    for each in values:
        if each["key"] not in samples:
            continue
        entry = drawn[each["key"]]
        truth = [_box(row, colours) for row in entry["truth"]]
        sides = [
            [_box(row, colours) for row in entry["runs"][run.pk] if row[-1] >= confidence] for run in (baseline, candidate)
        ]
        sample = samples[each["key"]]
        rows.append(
            Row(
                **each, sample=sample, truth=truth, old=sides[0], new=sides[1], size=(sample.width or 640, sample.height or 480)
            )
        )
    return rows


def _box(row: list[Any], colours: dict[int, dict[str, Any]]) -> dict[str, Any]:
    category, x, y, width, height, mark = row
    return {"x": x, "y": y, "width": width, "height": height, "mark": mark, **colours[category]}


@dataclass(frozen=True)
class Alone:
    """An item that one run alone has: a question, or an image."""

    key: Any
    name: str
    place: int | None = None


def alone(run: PredictionRun, keys: Sequence[Any]) -> list[Alone]:
    if run.dataset_id is None:
        items = PredictionSetItem.objects.filter(version=run.set_version_id, key__in=list(keys))
        return [Alone(item.key, item.asked, item.sample_index) for item in items]
    return [Alone(sample.pk, sample.file_name) for sample in Sample.objects.filter(pk__in=list(keys))]
