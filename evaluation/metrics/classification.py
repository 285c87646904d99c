"""Classification: figures of first choices and of probabilities, as scikit-learn defines them.

Images without a truth or without a prediction are counted and told, not guessed at: a missing prediction is a wrong one.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from evaluation.metrics.columns import Flags, Floats, Ints, LabelColumns

CALIBRATION_BINS = 15
# As scikit-learn: a probability of nought would make the loss endless.
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ClassFigures:
    """Of one class; None where nothing is defined: precision where it was never predicted, recall where it never occurs."""

    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None = None


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions whose confidence lies in (low, high]: how sure they were on average, and how often right."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class ClassificationFigures:
    """`summary` by name, None where undefined, with the reason in `undefined`. `confusion` is [classes + 1, classes + 1]: rows are
    the truth, columns the prediction, the last of either stands for none.
    """

    summary: dict[str, float | None]
    undefined: dict[str, str]
    per_class: list[ClassFigures]
    confusion: Ints
    calibration: list[CalibrationBin] = field(default_factory=list)


def figures(columns: LabelColumns, class_count: int) -> ClassificationFigures:
    with_truth = columns.truth >= 0
    truth, predicted = columns.truth[with_truth], columns.predicted[with_truth]
    probabilities = None if columns.probabilities is None else columns.probabilities[with_truth]
    confusion = np.zeros((class_count + 1, class_count + 1), np.int64)
    np.add.at(
        confusion,
        (
            np.where(columns.truth < 0, class_count, columns.truth),
            np.where(columns.predicted < 0, class_count, columns.predicted),
        ),
        1,
    )
    per_class = _per_class(confusion[:class_count], class_count)
    summary: dict[str, float | None] = {"top1": _mean(predicted == truth), "top5": _top(columns, with_truth, 5)}
    summary |= _averages(per_class)
    if probabilities is not None:
        # An image without a prediction has no probabilities: figures of them are over the others.
        known = probabilities.sum(axis=1) > 0
        truth, probabilities = truth[known], probabilities[known]
    summary |= _of_probabilities(truth, probabilities)
    if probabilities is not None:
        areas = class_areas(truth, probabilities)
        per_class = [replace(one, roc_auc=area) for one, area in zip(per_class, areas, strict=True)]
        defined = [area for area in areas if area is not None]
        summary["roc_auc"] = float(np.mean(defined)) if len(defined) == len(areas) else None
    truth = columns.truth[with_truth]
    bins = calibration(columns.confidence[with_truth], predicted == truth, predicted >= 0)
    summary["ece"] = expected_calibration_error(bins)
    return ClassificationFigures(summary, _reasons(summary, truth, columns), per_class, confusion, bins)


def _mean(values: Flags) -> float | None:
    return float(values.mean()) if values.size else None


def _top(columns: LabelColumns, with_truth: Flags, count: int) -> float | None:
    """How often the truth is among the first `count` choices; None where only the first is known."""
    truth = columns.truth[with_truth]
    if not truth.size:
        return None
    if columns.probabilities is not None:
        probabilities = columns.probabilities[with_truth]
        # Of equal probabilities the class that comes first goes first.
        choices = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
        return float(((choices == truth[:, None]).any(axis=1) & (probabilities.sum(axis=1) > 0)).mean())
    return None


def _per_class(confusion: Ints, class_count: int) -> list[ClassFigures]:
    right = np.diag(confusion[:, :class_count])
    support, predicted = confusion.sum(axis=1), confusion[:, :class_count].sum(axis=0)
    found = []
    for hits, there, claimed in zip(right.tolist(), support.tolist(), predicted.tolist(), strict=True):
        f1 = 2 * hits / (there + claimed) if there + claimed else None
        found.append(ClassFigures(there, claimed, hits / claimed if claimed else None, hits / there if there else None, f1))
    return found


def _averages(per_class: list[ClassFigures]) -> dict[str, float | None]:
    """Over the classes that occur or were predicted, undefined parts as 0, as scikit-learn does with zero_division=0.

    Micro averages over all classes equal top-1 where every image has one prediction.
    """
    seen = [one for one in per_class if one.support or one.predicted]
    support = np.array([one.support for one in seen], float)
    found: dict[str, float | None] = {}
    for name in ("precision", "recall", "f1"):
        values = np.array([getattr(one, name) or 0.0 for one in seen])
        found[f"macro_{name}"] = float(values.mean()) if seen else None
        found[f"weighted_{name}"] = float(np.average(values, weights=support)) if support.sum() else None
    hits = sum(round((one.recall or 0.0) * one.support) for one in seen)
    claimed, there = sum(one.predicted for one in seen), int(support.sum())
    found["micro_precision"] = hits / claimed if claimed else None
    found["micro_recall"] = hits / there if there else None
    found["micro_f1"] = 2 * hits / (claimed + there) if claimed + there else None
    return found


def image_losses(truth: Ints, probabilities: Floats) -> Floats:
    """The negative logarithm of what the model gave the true class, natural, per image; rows are normalised first."""
    sums = probabilities.sum(axis=1, keepdims=True)
    normal = np.divide(probabilities, sums, out=np.zeros_like(probabilities), where=sums > 0)
    given = normal[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.clip(given, LEAST_PROBABILITY, 1.0)))


def _of_probabilities(truth: Ints, probabilities: Floats | None) -> dict[str, float | None]:
    if probabilities is None or not truth.size:
        return {"log_loss": None, "roc_auc": None}
    return {"log_loss": float(image_losses(truth, probabilities).mean()), "roc_auc": None}


def class_areas(truth: Ints, probabilities: Floats) -> list[float | None]:
    """The area under each class's ROC curve, one against the rest; None where all images or none are of the class."""
    return [_area(truth == place, probabilities[:, place]) for place in range(probabilities.shape[1])]


def _area(positive: Flags, scores: Floats) -> float | None:
    """By ranks (Mann and Whitney); ties share theirs."""
    count, rest = int(positive.sum()), int((~positive).sum())
    if not count or not rest:
        return None
    _, places, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[places]
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))


def calibration(confidence: Floats, right: Flags, counted: Flags, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Bins of equal width; only images with a prediction count."""
    places = np.clip(np.ceil(confidence[counted] * bins).astype(int) - 1, 0, bins - 1)
    sure, hits = confidence[counted], right[counted]
    found = []
    for place in range(bins):
        inside = places == place
        count = int(inside.sum())
        means = (float(sure[inside].mean()), float(hits[inside].mean())) if count else (None, None)
        found.append(CalibrationBin(place / bins, (place + 1) / bins, count, *means))
    return found


def expected_calibration_error(bins: list[CalibrationBin]) -> float | None:
    """The mean distance between confidence and accuracy, weighted by the bins' counts (Guo et al. 2017)."""
    total = sum(each.count for each in bins)
    if not total:
        return None
    return sum(each.count * abs((each.confidence or 0.0) - (each.accuracy or 0.0)) for each in bins) / total


def _reasons(summary: dict[str, float | None], truth: Ints, columns: LabelColumns) -> dict[str, str]:
    """Why a figure is not defined."""
    if not truth.size:
        return dict.fromkeys((name for name, value in summary.items() if value is None), "No image has a true class.")
    reasons = {}
    for name, value in summary.items():
        if value is not None:
            continue
        if columns.probabilities is None and name in ("log_loss", "roc_auc", "top5"):
            reasons[name] = "The run holds first choices only; this needs the probabilities of all classes."
        elif name == "roc_auc":
            reasons[name] = "A class occurs in no image, or in all."
        else:
            reasons[name] = "Nothing was predicted."
    return reasons
