"""Images of a test run: filtered, sorted, a page at a time, with what is true and what was said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet

from datasets.models import Annotation
from evaluation.metrics.matches import ErrorType
from evaluation.models import TestImageResult, TestRun
from evaluation.shown_objects import error_name, image_entry, shape
from evaluation.stored_matches import confidence_of
from predictions.models import PredictedObject

SORTS = {
    "id": "pk", "confidence": "confidence", "iou": "iou", "oks": "oks", "f1": "f1", "loss": "loss", "is_correct": "is_correct",
    "true_positives": "true_positives", "false_positives": "false_positives", "false_negatives": "false_negatives",
    "inference_time_ms": "inference_ms", "file_name": "sample__file_name",
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """Which images: by classes (positions), correctness, the confidence of the surest prediction, kinds of error."""

    true_class: int | None = None
    predicted_class: int | None = None
    is_correct: bool | None = None
    least_confidence: float | None = None
    most_confidence: float | None = None
    error: ErrorType | None = None
    sort: str = "id"


def chosen(test_run: TestRun, wanted: Wanted) -> "QuerySet[TestImageResult]":
    """In the order asked for; images without a value last, ties in order of the file."""
    found = TestImageResult.objects.filter(test_run=test_run)
    if wanted.true_class is not None:
        found = found.filter(true_categories__contains=[wanted.true_class])
    if wanted.predicted_class is not None:
        found = found.filter(predicted_categories__contains=[wanted.predicted_class])
    if wanted.is_correct is not None:
        found = found.filter(is_correct=wanted.is_correct)
    if wanted.least_confidence is not None:
        found = found.filter(confidence__gte=wanted.least_confidence)
    if wanted.most_confidence is not None:
        found = found.filter(confidence__lte=wanted.most_confidence)
    if wanted.error is not None:
        found = found.filter(errors__contains=[int(wanted.error)])
    field = F(SORTS[wanted.sort.lstrip("-")])
    order = field.desc(nulls_last=True) if wanted.sort.startswith("-") else field.asc(nulls_last=True)
    return found.order_by(order, "pk")


def counts(found: "QuerySet[TestImageResult]") -> dict[str, int]:
    told = found.order_by().aggregate(total=Count("pk"), correct=Count("pk", filter=Q(is_correct=True)))
    return {
        "total_count": told["total"],
        "correct_count": told["correct"],
        "incorrect_count": told["total"] - told["correct"],
    }


def page(
    test_run: TestRun, found: "QuerySet[TestImageResult]", offset: int, limit: int, confidence: float | None = None
) -> list[dict[str, Any]]:
    """Rows with their objects: predictions from `confidence` on (default: that of the run's figures). Three queries."""
    rows = list(found.select_related("sample__split")[offset : offset + limit])
    keys = [row.sample_id for row in rows]
    truth = _by_sample(Annotation.objects.filter(sample__in=keys).select_related("category"))
    least = confidence_of(test_run, confidence)
    claims = PredictedObject.objects.filter(run=test_run.prediction_run_id, sample__in=keys, score__gte=least)
    predicted = _by_sample(claims.select_related("category").order_by("-score", "pk"))
    return [
        row_entry(row, test_run.class_names)
        | {"true_objects": truth.get(row.sample_id, []), "predicted_objects": predicted.get(row.sample_id, [])}
        for row in rows
    ]


def row_entry(row: TestImageResult, names: Sequence[str]) -> dict[str, Any]:
    """Without its objects. Of several classes the first is the label."""
    true = [names[place] for place in row.true_categories]
    predicted = [names[place] for place in row.predicted_categories]
    return {
        "id": row.pk,
        "image": image_entry(row.sample),
        "true_label": true[0] if true else None,
        "predicted_label": predicted[0] if predicted else None,
        "true_labels": true,
        "predicted_labels": predicted,
        "confidence": row.confidence,
        "top5": None if row.top is None else [{"label": name, "confidence": value} for name, value in row.top],
        "is_correct": row.is_correct,
        "errors": [error_name(value) for value in row.errors],
        "iou": row.iou,
        "oks": row.oks,
        "true_positives": row.true_positives,
        "false_positives": row.false_positives,
        "false_negatives": row.false_negatives,
        "f1": row.f1,
        "loss": row.loss,
        "inference_time_ms": row.inference_ms,
    }


def _by_sample(rows: "QuerySet[Any]") -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        told = shape(row) | {"id": row.pk, "label": row.category.name}
        told |= {"is_crowd": row.is_crowd} if isinstance(row, Annotation) else {"confidence": row.score}
        found.setdefault(row.sample_id, []).append(told)
    return found
