"""What the figures of a test run are called, what they mean, and in what order a page tells them."""

from dataclasses import dataclass
from typing import Any

from evaluation.models import TestRun


@dataclass(frozen=True)
class Figure:
    """A figure by its name in `metrics`. `lower_is_better` tells which way an arrow is good."""

    name: str
    label: str
    meaning: str
    decimals: int = 3
    lower_is_better: bool = False


FIGURES = {
    figure.name: figure
    for figure in [
        Figure("AP", "AP", "Average precision, mean over IoU 0.5 to 0.95 and the classes that have objects"),
        Figure("AP50", "AP50", "Average precision at IoU 0.5"),
        Figure("AP75", "AP75", "Average precision at IoU 0.75"),
        Figure("APs", "AP small", "Of objects below 32² pixels"),
        Figure("APm", "AP medium", "Of objects of 32² to 96² pixels"),
        Figure("APl", "AP large", "Of objects above 96² pixels"),
        Figure("AR", "AR", "Average recall, mean over overlaps and classes"),
        Figure("AR50", "AR50", "Recall at an overlap of 0.5"),
        Figure("AR75", "AR75", "Recall at an overlap of 0.75"),
        Figure("AR1", "AR 1", "Average recall with the surest prediction of each image and class"),
        Figure("AR10", "AR 10", "Average recall with the ten surest predictions of each image and class"),
        Figure("AR100", "AR 100", "Average recall with the hundred surest predictions of each image and class"),
        Figure("ARs", "AR small", "Average recall of small objects"),
        Figure("ARm", "AR medium", "Average recall of medium objects"),
        Figure("ARl", "AR large", "Average recall of large objects"),
        Figure("miou", "Mean IoU", "Mean over images of the mask overlap of what was found"),
        Figure("oks", "Mean OKS", "Mean over images of the keypoint similarity of what was found"),
        Figure("top1", "Top-1", "Images whose first choice is right"),
        Figure("top5", "Top-5", "Images whose true class is among the first five choices"),
        Figure("macro_f1", "Macro F1", "F1 of each class, averaged"),
        Figure("macro_precision", "Macro precision", "Precision of each class, averaged"),
        Figure("macro_recall", "Macro recall", "Recall of each class, averaged"),
        Figure("weighted_precision", "Weighted precision", "Precision of each class, weighted by its images"),
        Figure("weighted_recall", "Weighted recall", "Recall of each class, weighted by its images"),
        Figure("weighted_f1", "Weighted F1", "F1 of each class, weighted by its images"),
        Figure("micro_precision", "Micro precision", "Of all predictions, the share that is right"),
        Figure("micro_recall", "Micro recall", "Of all images, the share that is right"),
        Figure("micro_f1", "Micro F1", "F1 of all images together"),
        Figure(
            "log_loss", "Log loss", "What the model gave the true class, as a loss (natural logarithm)", lower_is_better=True
        ),
        Figure("roc_auc", "ROC AUC", "Mean over classes, one against the rest"),
        Figure("ece", "ECE", "Mean distance between confidence and accuracy", lower_is_better=True),
        Figure("precision", "Precision", "Of the predictions, the share that is right"),
        Figure("recall", "Recall", "Of the objects, the share that was found"),
        Figure("f1", "F1", "The harmonic mean of precision and recall"),
    ]
}
HEADLINES = {
    "classification": ["top1", "top5", "macro_f1", "log_loss", "roc_auc", "ece"],
    "detection": ["AP", "AP50", "AP75", "APs", "APm", "APl"],
    "segmentation": ["AP", "AP50", "AP75", "miou", "APs", "APl"],
    "pose": ["AP", "AP50", "AP75", "oks", "APm", "APl"],
}
AT_CONFIDENCE = ("precision", "recall", "f1")
NO_REASON = "This run does not have it."


@dataclass(frozen=True)
class Told:
    """A figure of a run, with its interval; where it has no value, why."""

    figure: Figure
    value: float | None
    interval: tuple[float, float] | None
    reason: str


def told(test_run: TestRun, name: str) -> Told:
    interval = test_run.intervals.get(name)
    return Told(
        FIGURES[name],
        test_run.metrics.get(name),
        (interval[0], interval[1]) if interval else None,
        test_run.undefined.get(name, NO_REASON),
    )


def headlines(test_run: TestRun) -> list[Told]:
    return [told(test_run, name) for name in HEADLINES[test_run.task_type]]


def others(test_run: TestRun) -> list[Told]:
    """All further figures that the run has, those at a confidence aside."""
    first = HEADLINES[test_run.task_type]
    return [told(test_run, name) for name in FIGURES if name in test_run.metrics and name not in (*first, *AT_CONFIDENCE)]


def slices_worst_first(test_run: TestRun, group: str = "") -> list[dict[str, Any]]:
    """Each with `delta`, how far it lies from all images: by the primary figure, or by AP50 where only that was taken of it."""
    names = dict.fromkeys([test_run.primary_metric_name, "AP50", "f1"])
    rows = [
        one | {"delta": _delta(test_run, one, list(names))} for one in test_run.slices if not group or one["group"] == group
    ]
    return sorted(rows, key=lambda one: (one["delta"] is None, one["delta"] or 0.0))


def _delta(test_run: TestRun, one: dict[str, Any], names: list[str]) -> float | None:
    for name in names:
        value, whole = one.get(name), test_run.metrics.get(name)
        if value is not None and whole is not None:
            return float(value - whole)
    return None
