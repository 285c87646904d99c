"""Classification judged: figures, each image's outcome, slices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluation.metrics.classification import ClassificationFigures, figures, image_losses
from evaluation.metrics.columns import Flags, Floats, Ints, LabelColumns, Scene
from evaluation.metrics.intervals import resampled_cells
from evaluation.metrics.match_table import MatchTable, curve, thinned
from evaluation.metrics.matches import ErrorType
from evaluation.metrics.outcome import ImageColumns, Outcome, Slices
from evaluation.statistics import mean_interval, wilson

CHOICES = 5


@dataclass(frozen=True)
class LabelProtocol:
    """`least_confidence`: an image of whose first choice the model was less sure counts as not predicted."""

    least_confidence: float = 0.0


def judge(
    scene: Scene,
    columns: LabelColumns,
    image_ids: Ints,
    protocol: LabelProtocol | None = None,
    slices: Slices | None = None,
    several: int = 0,
) -> Outcome:
    """All of a test run of labels. `image_ids` are the keys of the images; `several` have more true classes than the one that counts."""
    columns = _sure(columns, protocol or LabelProtocol())
    found = figures(columns, len(scene.category_names))
    losses = _losses(columns)
    images = _images(scene, columns, losses)
    table = table_of(columns, image_ids)
    return Outcome(
        primary="top1",
        metrics=found.summary,
        undefined=found.undefined,
        warnings=_warnings(scene, columns, several),
        per_class=_per_class(scene, found),
        confusion=found.confusion,
        images=images,
        curves={"calibration": [vars(one) for one in found.calibration], "confidence": thinned(curve(table))},
        slices=_slices(scene, columns, losses, slices or Slices()),
        loss=found.summary["log_loss"],
        table=table,
        intervals=_intervals(columns, found, losses, images),
    )


def _sure(columns: LabelColumns, protocol: LabelProtocol) -> LabelColumns:
    unsure = columns.confidence < protocol.least_confidence
    return replace(columns, predicted=np.where(unsure, -1, columns.predicted)) if unsure.any() else columns


def _losses(columns: LabelColumns) -> Floats:
    """NaN where an image has no true class or no probabilities."""
    losses = np.full(len(columns.truth), np.nan)
    if columns.probabilities is not None:
        known = (columns.truth >= 0) & (columns.probabilities.sum(axis=1) > 0)
        losses[known] = image_losses(columns.truth[known], columns.probabilities[known])
    return losses


def _images(scene: Scene, columns: LabelColumns, losses: Floats) -> ImageColumns:
    has_truth, has_choice = columns.truth >= 0, columns.predicted >= 0
    right = has_truth & (columns.truth == columns.predicted)
    wrong = has_choice & has_truth & ~right
    kinds = np.select([wrong, has_truth & ~has_choice], [int(ErrorType.CLASSIFICATION), int(ErrorType.MISSED)], 0)
    nothing = np.full(len(columns.truth), np.nan)
    return ImageColumns(
        is_correct=right,
        confidence=np.where(has_choice, columns.confidence, np.nan),
        true_categories=_single(columns.truth),
        predicted_categories=_single(columns.predicted),
        errors=[[kind] if kind else [] for kind in kinds.tolist()],
        true_positives=right.astype(np.int64),
        false_positives=wrong.astype(np.int64),
        false_negatives=(has_truth & ~right).astype(np.int64),
        f1=nothing,
        iou=nothing,
        oks=nothing,
        loss=losses,
        top=_top(scene, columns),
    )


def table_of(columns: LabelColumns, image_ids: Ints) -> MatchTable:
    """Each image's true class as an object and its first choice as a prediction: what is read of objects is read of these too.

    Both have their image's key.
    """
    claims = np.flatnonzero(columns.predicted >= 0)
    claims = claims[np.lexsort((claims, -columns.confidence[claims]))]
    objects = np.flatnonzero(columns.truth >= 0)
    object_at = np.full(len(columns.truth), -1)
    object_at[objects] = np.arange(len(objects))
    behind = object_at[claims]
    right = columns.truth[claims] == columns.predicted[claims]
    wrong = np.flatnonzero(~right & (behind >= 0))
    found_by = np.full(len(objects), -1)
    found_by[behind[right]] = np.flatnonzero(right)
    kinds = [right, behind >= 0]
    return MatchTable(
        image_ids=image_ids,
        prediction_ids=image_ids[claims],
        prediction_images=claims,
        prediction_categories=columns.predicted[claims],
        scores=columns.confidence[claims],
        object_of=np.where(right, behind, -1),
        overlaps=right.astype(float),
        ignored=np.zeros(len(claims), bool),
        errors=np.select(kinds, [int(ErrorType.NONE), int(ErrorType.CLASSIFICATION)], int(ErrorType.BACKGROUND)),
        nearest=np.where(right, -1, behind),
        object_ids=image_ids[objects],
        object_images=objects,
        object_categories=columns.truth[objects],
        left_out=np.zeros(len(objects), bool),
        found_by=found_by,
        across_predictions=wrong,
        across_objects=behind[wrong],
        across_overlaps=np.ones(len(wrong)),
    )


def _single(places: Ints) -> list[list[int]]:
    return [[place] if place >= 0 else [] for place in places.tolist()]


def _top(scene: Scene, columns: LabelColumns) -> Sequence[Any] | None:
    """Of each image the surest classes: [name, probability], None where there is no prediction."""
    if columns.probabilities is None:
        return None
    choices = np.argsort(-columns.probabilities, axis=1, kind="stable")[:, :CHOICES]
    values = np.take_along_axis(columns.probabilities, choices, axis=1)
    names = scene.category_names
    return [
        [[names[choice], value] for choice, value in zip(row, sure, strict=True)] if known else None
        for row, sure, known in zip(choices.tolist(), values.tolist(), (values[:, 0] > 0).tolist(), strict=True)
    ]


def _per_class(scene: Scene, found: ClassificationFigures) -> list[dict[str, Any]]:
    right = np.diag(found.confusion)
    return [
        {
            "name": name,
            "objects": one.support,
            "predictions": one.predicted,
            "precision": one.precision,
            "precision_interval": wilson(right[place], one.predicted),
            "recall": one.recall,
            "recall_interval": wilson(right[place], one.support),
            "f1": one.f1,
            "roc_auc": one.roc_auc,
        }
        for place, (name, one) in enumerate(zip(scene.category_names, found.per_class, strict=True))
    ]


def _intervals(
    columns: LabelColumns, found: ClassificationFigures, losses: Floats, images: ImageColumns
) -> dict[str, tuple[float, float]]:
    total = int((columns.truth >= 0).sum())
    classes = len(found.per_class)
    known = losses[~np.isnan(losses)]
    by_name = {
        "top1": wilson(int(images.is_correct.sum()), total),
        "log_loss": mean_interval(known),
        **resampled_cells(found.confusion[:classes], _averages),
    }
    if found.summary["top5"] is not None:
        by_name["top5"] = wilson(round(found.summary["top5"] * total), total)
    return {name: (interval[0], interval[1]) for name, interval in by_name.items() if interval is not None}


def _averages(confusion: Floats) -> dict[str, Floats]:
    """Macro and weighted averages of confusion matrices, [resamples, classes, classes + 1], as `classification` takes them."""
    classes = confusion.shape[1]
    right = np.diagonal(confusion[:, :, :classes], axis1=1, axis2=2)
    there, claimed = confusion.sum(axis=2), confusion[:, :, :classes].sum(axis=1)
    seen = (there + claimed) > 0
    shares = {"precision": (right, claimed), "recall": (right, there), "f1": (2 * right, there + claimed)}
    found = {}
    for name, (part, whole) in shares.items():
        values = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
        found[f"macro_{name}"] = values.sum(axis=1) / np.maximum(1, seen.sum(axis=1))
        found[f"weighted_{name}"] = (values * there).sum(axis=1) / np.maximum(1, there.sum(axis=1))
    return found


def _slices(scene: Scene, columns: LabelColumns, losses: Floats, slices: Slices) -> list[dict[str, Any]]:
    """Worst first, by the share of first choices that are right; those without a true class come last."""
    groups = dict(slices.groups)
    groups["class"] = {name: np.flatnonzero(columns.truth == place) for place, name in enumerate(scene.category_names)}
    found = [
        _slice(columns, losses, group, name, images)
        for group, names in groups.items()
        for name, images in names.items()
        if len(images)
    ]
    return sorted(found, key=lambda one: (one["top1"] is None, one["top1"] or 0.0))


def _slice(columns: LabelColumns, losses: Floats, group: str, name: str, images: Ints) -> dict[str, Any]:
    known = images[columns.truth[images] >= 0]
    right: Flags = columns.truth[known] == columns.predicted[known]
    lost = losses[images][~np.isnan(losses[images])]
    return {
        "group": group,
        "name": name,
        "images": len(images),
        "objects": len(known),
        "top1": float(right.mean()) if len(known) else None,
        "interval": wilson(int(right.sum()), len(known)),
        "log_loss": float(lost.mean()) if len(lost) else None,
    }


def _warnings(scene: Scene, columns: LabelColumns, several: int) -> list[str]:
    found = []
    without = int((columns.truth < 0).sum())
    if without:
        found.append(f"{without:,} images have no true class; they count in no figure.")
    unpredicted = int(((columns.predicted < 0) & (columns.truth >= 0)).sum())
    if unpredicted:
        found.append(f"{unpredicted:,} images have no prediction; they count as wrong, and in no figure of probabilities.")
    if several:
        found.append(f"{several:,} images have several true classes; the first of the file counts.")
    there = np.bincount(columns.truth[columns.truth >= 0], minlength=len(scene.category_names))
    absent = [name for name, count in zip(scene.category_names, there.tolist(), strict=True) if not count]
    if absent:
        some = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
        found.append(f"{len(absent)} of {len(scene.category_names)} classes are the true class of no image: {some}.")
    return found
