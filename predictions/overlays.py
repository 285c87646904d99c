"""What is drawn on images: true and predicted labels as plain data for `overlay.js`. Numbers are rounded for drawing only."""

import zlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import connection

from datasets.models import Annotation, Category, Sample
from datasets.shapes import mask_to_path
from predictions.models import PredictedObject, PredictionRun

# Okabe and Ito's colours, which colour-blind people tell apart, in three lightnesses. Yellow comes late: it is weak on light images.
PALETTE = (
    "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#3f8fd1", "#f0e442",
    "#9ad4f5", "#ffc24d", "#4cc9a0", "#e8a9cb", "#ff8f4d", "#7fb4e6", "#fff27a",
    "#2d8fc4", "#c08400", "#2eb886", "#c0699a", "#e0751f", "#6f9fd8", "#d6c92a",
)  # fmt: skip
# Where the checksum of a name starts: from here, the classes of well-known datasets and of the demo seldom share a colour.
CHECKSUM_START = 30933
# More boxes than this on a thumbnail are a smear; the best ones are drawn.
MOST_PER_THUMB = 60
# One index scan per image and run: however long a run is, only what is drawn leaves the database.
BEST_OF_EACH = """
SELECT best.*
FROM unnest(%s::bigint[]) AS shown (run) CROSS JOIN unnest(%s::bigint[]) AS page (sample)
CROSS JOIN LATERAL (
    SELECT run_id, sample_id, category_id, x, y, width, height, score FROM predictions_predictedobject
    WHERE run_id = shown.run AND sample_id = page.sample ORDER BY score DESC, id LIMIT %s
) AS best
"""


def colour_of(name: str) -> str:
    """The same for a class of that name in every dataset, run and theme."""
    return PALETTE[zlib.crc32(name.encode(), CHECKSUM_START) % len(PALETTE)]


def category_entries(categories: Iterable[Category], *, with_skeletons: bool = False) -> dict[int, dict[str, Any]]:
    found = {}
    for category in categories:
        found[category.pk] = {"name": category.name, "colour": colour_of(category.name)}
        if with_skeletons:
            found[category.pk] |= _skeleton(category)
    return found


def _skeleton(category: Category) -> dict[str, Any]:
    return {"keypoints": category.keypoint_names, "skeleton": category.skeleton}


def thumbs(samples: list[Sample], runs: list[PredictionRun]) -> dict[int, dict[str, Any]]:
    """Boxes by image for the grid, in two queries: [category, x, y, width, height, crowd or score]."""
    found: dict[int, dict[str, Any]] = {
        sample.pk: {"w": sample.width or 0, "h": sample.height or 0, "truth": [], "runs": {run.pk: [] for run in runs}}
        for sample in samples
    }
    truth = Annotation.objects.filter(sample__in=list(found)).order_by()
    for sample, category, x, y, width, height, crowd in truth.values_list(
        "sample", "category", "x", "y", "width", "height", "is_crowd"
    ):
        found[sample]["truth"].append([category, *_rounded(x, y, width, height), int(crowd)])
    for run, sample, category, x, y, width, height, score in _best(list(found), runs):
        found[sample]["runs"][run].append([category, *_rounded(x, y, width, height), round(score, 3)])
    return found


def _best(samples: list[int], runs: list[PredictionRun]) -> list[tuple[Any, ...]]:
    if not (samples and runs):
        return []
    with connection.cursor() as cursor:
        cursor.execute(BEST_OF_EACH, [[run.pk for run in runs], samples, MOST_PER_THUMB])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _rounded(*values: float | None) -> list[float | None]:
    return [None if value is None else round(value, 1) for value in values]


def layers(sample: Sample, runs: list[PredictionRun]) -> list[dict[str, Any]]:
    """Everything about one image, in two queries: the ground truth, then each run with its best objects first."""
    truth = Annotation.objects.filter(sample=sample).order_by("pk")
    by_run: dict[int, list[dict[str, Any]]] = defaultdict(list)
    if runs:
        keys = [run.pk for run in runs]
        for row in PredictedObject.objects.filter(run__in=keys, sample=sample).order_by("-score", "pk"):
            by_run[row.run_id].append(_object(row) | {"score": row.score})
    return [
        {"key": "truth", "name": "Ground truth", "objects": [_object(row) | {"crowd": row.is_crowd} for row in truth]},
        *({"key": str(run.pk), "name": run.name, "objects": by_run[run.pk]} for run in runs),
    ]


def _object(row: Annotation | PredictedObject) -> dict[str, Any]:
    found: dict[str, Any] = {"id": row.pk, "category": row.category_id}
    if row.x is not None:
        found["box"] = _rounded(row.x, row.y, row.width, row.height)
    if row.segmentation:
        found["path"] = mask_to_path(row.segmentation)
    if row.keypoints:
        found["keypoints"] = _rounded(*row.keypoints)
    return found
