"""Rows of matches and images as somebody looks at them: with image, boxes, masks and addresses, in a few queries for a page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from django.urls import reverse

from datasets.models import Annotation, Sample
from evaluation.metrics.columns import Ints
from evaluation.metrics.match_table import MatchTable
from evaluation.metrics.matches import ErrorType
from evaluation.models import TestRun
from evaluation.object_changes import ObjectChanges
from evaluation.stored_matches import Found, tables
from predictions.models import PredictedObject

THUMB = 320
# Of a crop: how much is shown around the box, as a share of its sides.
CROP_MARGIN = 0.15


def error_name(value: int) -> str:
    return ErrorType(value).name.lower()


def entries(test_run: TestRun, found: Found) -> list[dict[str, Any]]:
    """Each pair of the page with the image it is in, both boxes and the address of a crop."""
    table = tables.get(test_run)
    objects, predictions = found.objects.tolist(), found.predictions.tolist()
    truth = true_objects(table.object_ids[[one for one in objects if one >= 0]].tolist(), test_run)
    claims = predicted_objects(table.prediction_ids[[one for one in predictions if one >= 0]].tolist(), test_run)
    places = [
        int(table.prediction_images[claim] if claim >= 0 else table.object_images[one])
        for one, claim in zip(objects, predictions, strict=True)
    ]
    images = samples(table.image_ids[places].tolist())
    return [
        _entry(test_run, table, one, claim, images.get(int(table.image_ids[place])), truth, claims)
        for one, claim, place in zip(objects, predictions, places, strict=True)
    ]


def _entry(
    test_run: TestRun,
    table: MatchTable,
    one: int,
    claim: int,
    sample: Sample | None,
    truth: Mapping[int, dict[str, Any]],
    claims: Mapping[int, dict[str, Any]],
) -> dict[str, Any]:
    names = test_run.class_names
    true = None if one < 0 else truth.get(int(table.object_ids[one]), {}) | {"label": names[table.object_categories[one]]}
    predicted = None
    if claim >= 0:
        label, score = names[table.prediction_categories[claim]], float(table.scores[claim])
        predicted = claims.get(int(table.prediction_ids[claim]), {}) | {"label": label, "confidence": score}
    right = claim >= 0 and table.object_of[claim] == one and one >= 0
    error = ErrorType.NONE if right else ErrorType(int(table.errors[claim])) if claim >= 0 else ErrorType.MISSED
    box = (predicted or {}).get("bbox") or (true or {}).get("bbox")
    return {
        "image": None if sample is None else image_entry(sample),
        "outcome": "tp" if right else "fp" if claim >= 0 else "fn",
        "error": None if error == ErrorType.NONE else error.name.lower(),
        "overlap": float(table.overlaps[claim]) if right else None,
        "true": true,
        "predicted": predicted,
        "crop_url": None if sample is None or box is None else crop_address(sample, box),
    }


def changed_entries(
    baseline: TestRun, candidate: TestRun, found: ObjectChanges, positions: Ints, confidences: tuple[float, float]
) -> list[dict[str, Any]]:
    """Objects of two test runs, each with what found it in either."""
    table = tables.get(candidate)
    rows = found.candidate[positions]
    images = samples(table.image_ids[table.object_images[rows]].tolist())
    truth = true_objects(table.object_ids[rows].tolist(), candidate)
    before = _found_by(baseline, found.baseline[positions], confidences[0])
    after = _found_by(candidate, rows, confidences[1])
    told = []
    for row, old, new in zip(rows.tolist(), before, after, strict=True):
        sample = images.get(int(table.image_ids[table.object_images[row]]))
        true = truth.get(int(table.object_ids[row]), {}) | {"label": candidate.class_names[table.object_categories[row]]}
        box = true.get("bbox")
        told.append(
            {
                "image": None if sample is None else image_entry(sample),
                "true": true,
                "baseline": old,
                "candidate": new,
                "crop_url": None if sample is None or box is None else crop_address(sample, box),
            }
        )
    return told


def _found_by(test_run: TestRun, rows: Ints, confidence: float) -> list[dict[str, Any] | None]:
    table = tables.get(test_run)
    claims = np.where(table.found(confidence)[rows], table.found_by[rows], -1).tolist()
    shapes = predicted_objects(table.prediction_ids[[claim for claim in claims if claim >= 0]].tolist(), test_run)
    return [
        None
        if claim < 0
        else shapes.get(int(table.prediction_ids[claim]), {})
        | {"label": test_run.class_names[table.prediction_categories[claim]], "confidence": float(table.scores[claim])}
        for claim in claims
    ]


def image_entry(sample: Sample) -> dict[str, Any]:
    return {
        "sample_id": sample.pk,
        "file_name": sample.file_name,
        "split": sample.split.name,
        "width": sample.width,
        "height": sample.height,
        "url": reverse("predictions:sample", args=[sample.dataset_id, sample.pk]),
        "image_url": f"{reverse('datasets:image', args=[sample.pk])}?v={sample.image_version}" if sample.image else None,
        "thumb_url": f"{reverse('datasets:thumb', args=[sample.pk, THUMB])}?v={sample.image_version}" if sample.image else None,
    }


def crop_address(sample: Sample, box: Sequence[float]) -> str | None:
    """Of the box with some of what is around it, in whole pixels; None where there is no image file."""
    if not sample.image:
        return None
    x, y, width, height = box
    across, down = CROP_MARGIN * width, CROP_MARGIN * height
    sides = (max(0, x - across), max(0, y - down), width + 2 * across, height + 2 * down)
    told = ",".join(str(max(0, round(side))) for side in sides)
    return f"{reverse('datasets:crop', args=[sample.pk])}?box={told}&v={sample.image_version}"


def samples(keys: Iterable[int]) -> dict[int, Sample]:
    return Sample.objects.select_related("split").in_bulk(set(keys))


def true_objects(keys: Sequence[int], test_run: TestRun) -> dict[int, dict[str, Any]]:
    """Annotations by key; labels of whole images have no shape, and their keys here are those of images."""
    if test_run.task_type == "classification":
        return {}
    return {row.pk: shape(row) | {"id": row.pk, "is_crowd": row.is_crowd} for row in Annotation.objects.filter(pk__in=keys)}


def predicted_objects(keys: Sequence[int], test_run: TestRun) -> dict[int, dict[str, Any]]:
    if test_run.task_type == "classification":
        return {}
    return {row.pk: shape(row) | {"id": row.pk} for row in PredictedObject.objects.filter(pk__in=keys)}


def shape(row: Annotation | PredictedObject) -> dict[str, Any]:
    """COCO xywh in pixels, mask and keypoints as stored."""
    return {
        "bbox": None if row.x is None else [row.x, row.y, row.width, row.height],
        "segmentation": row.segmentation,
        "keypoints": row.keypoints,
    }
