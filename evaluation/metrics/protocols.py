"""Average precision under named protocols, and which of their rules moved the number.

COCO's own figures come from `coco`; here its rules stand beside those of Ultralytics (as of version 8.4) and Pascal VOC (2010 and
later), one by one, so that a figure can be led from one protocol to another rule by rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluation.metrics.coco import IOU_THRESHOLDS
from evaluation.metrics.columns import Flags, Floats, Ints, Predictions, Scene, Truth
from evaluation.metrics.matches import Pairs, greedy, met_left_out, overlapping
from evaluation.metrics.overlaps import overlap_of

RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Protocol:
    """A way to compute average precision.

    `area` is how the curve becomes a number (a key of AREAS). `best_only`: a prediction may stand only for the object that it
    overlaps most, found already or not; else for the best that is free. `crowds`: `ignore` what meets them, or `drop` them, so
    that predictions on them are wrong. `per_image` counts the most predictions over all classes, else per class.
    """

    name: str
    label: str
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS
    area: str = "coco"
    best_only: bool = False
    crowds: str = "ignore"
    least_confidence: float = 0.0
    most_predictions: int | None = 100
    per_image: bool = False


PROTOCOLS = {
    "coco": Protocol("coco", "COCO"),
    "ultralytics": Protocol(
        "ultralytics",
        "Ultralytics",
        area="interpolated",
        crowds="drop",
        least_confidence=0.001,
        most_predictions=300,
        per_image=True,
    ),
    "voc": Protocol("voc", "Pascal VOC", iou_thresholds=(0.5,), area="all_points", best_only=True, most_predictions=None),
}


@dataclass(frozen=True)
class Step:
    """One rule changed, and the figure with it and with all rules changed before."""

    rule: str
    value: float | None
    change: float | None


def average_precisions(scene: Scene, truth: Truth, predictions: Predictions, kind: str, protocol: Protocol) -> Floats:
    """[categories, IoU thresholds]; NaN for categories without an object."""
    pairs = overlapping(truth, predictions, overlap_of(kind, scene))
    return _average_precisions(scene, truth, predictions, kind, protocol, pairs)


def _average_precisions(
    scene: Scene, truth: Truth, predictions: Predictions, kind: str, protocol: Protocol, pairs: Pairs
) -> Floats:
    order = predictions.by_score()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    kept = _kept(predictions, order, protocol)
    same = predictions.categories[pairs.predictions] == truth.categories[pairs.objects]
    pairs = pairs.where(same & kept[pairs.predictions])
    left_out = truth.left_out(kind)
    objects = np.bincount(truth.categories[~left_out], minlength=len(scene.category_names))
    area = AREAS[protocol.area]
    found = np.full((len(objects), len(protocol.iou_thresholds)), np.nan)
    for column, threshold in enumerate(protocol.iou_thresholds):
        right, ignored = _judged(pairs, left_out, truth.crowds, rank, threshold, protocol)
        counted = order[kept[order] & ~ignored[order]]
        by_category = counted[np.argsort(predictions.categories[counted], kind="stable")]
        bounds = np.searchsorted(predictions.categories[by_category], np.arange(len(objects) + 1))
        for category in np.flatnonzero(objects):
            hits = right[by_category[bounds[category] : bounds[category + 1]]]
            found[category, column] = area(hits, int(objects[category]))
    return found


def _kept(predictions: Predictions, order: Ints, protocol: Protocol) -> Flags:
    """Those sure enough, and of each image (and class) the surest."""
    kept = predictions.scores >= protocol.least_confidence
    if protocol.most_predictions is None:
        return kept
    group = predictions.images
    if not protocol.per_image:
        group = group * (int(predictions.categories.max(initial=0)) + 1) + predictions.categories
    sure = order[kept[order]]
    grouped = sure[np.argsort(group[sure], kind="stable")]
    starts = np.r_[0, np.flatnonzero(np.diff(group[grouped])) + 1] if len(grouped) else np.empty(0, np.int64)
    place = np.arange(len(grouped)) - np.repeat(starts, np.diff(np.r_[starts, len(grouped)]))
    kept[grouped[place >= protocol.most_predictions]] = False
    return kept


def _judged(
    pairs: Pairs, left_out: Flags, crowds: Flags, rank: Ints, threshold: float, protocol: Protocol
) -> tuple[Flags, Flags]:
    """Of each prediction whether it is right, and whether it is left out of the count."""
    right, ignored = np.zeros(len(rank), bool), np.zeros(len(rank), bool)
    is_out = left_out[pairs.objects]
    if protocol.crowds == "drop":
        pairs, is_out = pairs.where(~is_out), np.zeros(int((~is_out).sum()), bool)
    if protocol.best_only:
        best = _best_objects(pairs)
        pairs, is_out = pairs.at(best), is_out[best]
    enough = pairs.overlaps >= min(threshold, 1 - 1e-10)
    right[greedy(pairs.where(enough & ~is_out), rank).predictions] = True
    ignored[met_left_out(pairs.where(enough & is_out & ~right[pairs.predictions]), crowds, rank)] = True
    return right, ignored


def _best_objects(pairs: Pairs) -> Ints:
    """Of each prediction the pair with its largest overlap, of equals the object that comes first."""
    order = np.lexsort((pairs.objects, -pairs.overlaps, pairs.predictions))
    sorted_predictions = pairs.predictions[order]
    return order[np.r_[True, sorted_predictions[1:] != sorted_predictions[:-1]]] if len(order) else order


def _precision_recall(hits: Flags, objects: int) -> tuple[Floats, Floats]:
    found = np.cumsum(hits)
    return found / np.arange(1, len(hits) + 1), found / objects


def coco_area(hits: Flags, objects: int) -> float:
    """The mean of the envelope's precision at 101 recalls, each at the first point that reaches it; 0 where none does."""
    if not len(hits):
        return 0.0
    precision, recall = _precision_recall(hits, objects)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    reached = places < len(envelope)
    return float(envelope[places[reached]].sum() / len(RECALLS))


def interpolated_area(hits: Flags, objects: int) -> float:
    """The area under the envelope, interpolated linearly at 101 recalls, from precision 1 at recall 0 to 0 past the last."""
    if not len(hits):
        return 0.0
    precision, recall = _precision_recall(hits, objects)
    recalls = np.concatenate(([0.0], recall, [recall[-1]], [1.0]))
    envelope = np.maximum.accumulate(np.concatenate(([1.0], precision, [0.0], [0.0]))[::-1])[::-1]
    return float(np.trapezoid(np.interp(RECALLS, recalls, envelope), RECALLS))


def exact_area(hits: Flags, objects: int) -> float:
    """The area under the envelope at every point at which recall rises (Pascal VOC from 2010)."""
    if not len(hits):
        return 0.0
    precision, recall = _precision_recall(hits, objects)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(np.r_[0.0, recall]) * envelope).sum())


AREAS: dict[str, Callable[[Flags, int], float]] = {
    "coco": coco_area,
    "interpolated": interpolated_area,
    "all_points": exact_area,
}

# What each rule is called where it is told that it moved the figure.
RULES: list[tuple[Sequence[str], Callable[[Protocol], str]]] = [
    (("iou_thresholds",), lambda to: f"IoU {to.iou_thresholds[0]} alone" if len(to.iou_thresholds) == 1 else "IoU 0.5 to 0.95"),
    (("least_confidence",), lambda to: f"only predictions with a confidence of {to.least_confidence} or more"),
    (("most_predictions", "per_image"), lambda to: _limit_in_words(to)),
    (("crowds",), lambda to: "predictions on crowds are wrong" if to.crowds == "drop" else "predictions on crowds are left out"),
    (("best_only",), lambda to: "a prediction may stand only for the object that it overlaps most" if to.best_only else "a prediction may stand for the best free object"),
    (("area",), lambda to: {"coco": "precision at 101 recalls", "interpolated": "precision interpolated between recalls", "all_points": "the whole area under the curve"}[to.area]),
]  # fmt: skip


def _limit_in_words(protocol: Protocol) -> str:
    if protocol.most_predictions is None:
        return "no limit to predictions"
    where = "of an image" if protocol.per_image else "of an image and class"
    return f"the {protocol.most_predictions} surest predictions {where}"


def reconcile(scene: Scene, truth: Truth, predictions: Predictions, kind: str, start: Protocol, end: Protocol) -> list[Step]:
    """From one protocol's figure to another's, one rule at a time; rules that both share are left out."""
    pairs = overlapping(truth, predictions, overlap_of(kind, scene))
    now = start
    steps = [Step(f"{start.label}'s rules", _mean(_average_precisions(scene, truth, predictions, kind, now, pairs)), None)]
    for names, in_words in RULES:
        changed = {name: getattr(end, name) for name in names if getattr(end, name) != getattr(now, name)}
        if not changed:
            continue
        now = replace(now, **changed)
        value = _mean(_average_precisions(scene, truth, predictions, kind, now, pairs))
        before = steps[-1].value
        change = None if value is None or before is None else value - before
        steps.append(Step(in_words(now), value, change))
    return steps


def _mean(values: Floats) -> float | None:
    """Over categories that have objects, and IoU thresholds."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
