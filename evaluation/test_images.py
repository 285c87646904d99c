"""The images of a test run as its page draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets.models import Category
from evaluation.models import TestImageResult, TestRun
from predictions import overlays


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
