"""The images of a test run: which fit a filter, and what is drawn on each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, QuerySet

from datasets.models import Category
from evaluation.galleries import ERROR_KINDS
from evaluation.models import TestImageResult, TestRun
from evaluation.test_forms import IMAGE_SORTS
from predictions import overlays


def results_of(test_run: TestRun, asked: dict[str, Any]) -> "QuerySet[TestImageResult]":
    """In the order asked for; what is not defined comes last."""
    found = TestImageResult.objects.filter(test_run=test_run).select_related("sample")
    if "outcome" in asked:
        found = found.filter(is_correct=asked["outcome"] == "right")
    if "true" in asked:
        found = found.filter(true_categories__contains=[int(asked["true"])])
    if "predicted" in asked:
        found = found.filter(predicted_categories__contains=[int(asked["predicted"])])
    if "error" in asked:
        found = found.filter(errors__contains=[int(ERROR_KINDS[asked["error"]])])
    usual = "loss" if test_run.task_type == "classification" and test_run.overall_loss is not None else "worst"
    _, names = IMAGE_SORTS[asked.get("sort", usual)]
    return found.order_by(*(_nulls_last(name) for name in names))


def _nulls_last(name: str) -> Any:
    field = F(name.removeprefix("-"))
    return field.desc(nulls_last=True) if name.startswith("-") else field.asc(nulls_last=True)


@dataclass(frozen=True)
class ImageRow:
    result: TestImageResult
    truth: list[dict[str, Any]]
    boxes: list[dict[str, Any]]
    true_names: list[str]
    predicted_names: list[str]

    @property
    def sample(self) -> Any:
        return self.result.sample

    @property
    def size(self) -> tuple[int, int]:
        return self.sample.width or 640, self.sample.height or 480


def image_rows(test_run: TestRun, results: Sequence[TestImageResult]) -> list[ImageRow]:
    """With the boxes of truth and predictions, in three queries."""
    results = list(results)
    run = test_run.prediction_run
    drawn = overlays.thumbs([result.sample for result in results], [run] if run else [])
    colours = overlays.category_entries(Category.objects.filter(dataset=test_run.dataset_id))
    confidence = test_run.metrics.get("confidence") or 0.0
    names = test_run.class_names
    return [
        ImageRow(
            result=result,
            truth=[_box(row, colours) for row in drawn[result.sample_id]["truth"]],
            boxes=[_box(row, colours) for row in drawn[result.sample_id]["runs"].get(run.pk, []) if row[-1] >= confidence]
            if run
            else [],
            true_names=[names[place] for place in result.true_categories],
            predicted_names=[names[place] for place in result.predicted_categories],
        )
        for result in results
    ]


def _box(row: list[Any], colours: dict[int, dict[str, Any]]) -> dict[str, Any]:
    category, x, y, width, height, mark = row
    return {"x": x, "y": y, "width": width, "height": height, "mark": mark, **colours[category]}
