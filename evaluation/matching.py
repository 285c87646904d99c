"""What one image's predictions are worth against its truth, and which items two runs share. Arrays in, arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.metrics.columns import Flags, Floats, Ints, Predictions, Scene, Truth
from evaluation.metrics.matches import match

IOU = 0.5


@dataclass(frozen=True)
class Objects:
    """Labelled things of many images, a row each: keys of image and category, box as COCO xywh in pixels.

    `marks` are the scores of predictions, whose file order equal ones keep; of the truth, whether it is a crowd (1 or 0).
    """

    images: Ints
    categories: Ints
    boxes: Floats
    marks: Floats

    def __len__(self) -> int:
        return len(self.images)

    def where(self, kept: Flags) -> "Objects":
        return Objects(self.images[kept], self.categories[kept], self.boxes[kept], self.marks[kept])


def image_f1(images: Ints, truth: Objects, predicted: Objects, iou: float = IOU) -> Floats:
    """F1 of each image (2 TP / (2 TP + FP + FN)), in the order of `images`, which are sorted.

    The matches are those of test runs, class by class. 1 where nothing is there and nothing was said.
    """
    found = match(Scene(np.empty((0, 2), np.int64), []), *_by_image_and_category(truth, predicted), "bbox", iou)
    hits = _per_image(images, predicted.images[found.object_of >= 0])
    said = _per_image(images, predicted.images[~found.ignored])
    there = _per_image(images, truth.images[truth.marks == 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(said + there > 0, 2 * hits / (said + there), 1.0)


def _per_image(images: Ints, keys: Ints) -> Ints:
    return np.bincount(np.searchsorted(images, keys), minlength=len(images)).astype(np.int64)


def _by_image_and_category(truth: Objects, predicted: Objects) -> tuple[Truth, Predictions]:
    """As the matches of test runs read them. What is of one image and class stands as an image of its own."""
    images = np.unique(np.concatenate([truth.images, predicted.images]))
    categories = np.unique(np.concatenate([truth.categories, predicted.categories]))

    def columns(objects: Objects) -> dict[str, Any]:
        groups = np.searchsorted(images, objects.images) * len(categories) + np.searchsorted(categories, objects.categories)
        nothing = np.zeros(len(objects), np.int64)
        return {"ids": np.arange(len(objects)), "images": groups, "categories": nothing, "boxes": objects.boxes}

    real = Truth(areas=truth.boxes[:, 2:].prod(axis=1), crowds=truth.marks > 0, **columns(truth))
    return real, Predictions(scores=predicted.marks, **columns(predicted))


def image_exact_match(images: Ints, truth: Objects, predicted: Objects) -> Floats:
    """1 where the label with the highest score (of equal ones the first in the file) is one of the image's true labels.

    0 where nothing was said, NaN where nothing is true; in the order of `images`, which are sorted.
    """
    order = np.lexsort((np.arange(len(predicted)), -predicted.marks, predicted.images))
    tops, first = np.unique(predicted.images[order], return_index=True)
    labels = predicted.categories[order][first]
    right = set(zip(truth.images.tolist(), truth.categories.tolist(), strict=True))
    found = np.where(_per_image(images, truth.images) > 0, 0.0, np.nan)
    hits = [image for image, label in zip(tops.tolist(), labels.tolist(), strict=True) if (image, label) in right]
    found[np.searchsorted(images, np.array(hits, np.int64))] = 1.0
    return found


@dataclass(frozen=True)
class Alignment:
    """Positions of shared items on both sides, in the order of the first side; positions of those that one side has alone."""

    first: Ints
    second: Ints
    only_first: Ints
    only_second: Ints


def align(first: Sequence[Any], second: Sequence[Any]) -> Alignment:
    """Match by key; keys are unique on each side."""
    where = {key: place for place, key in enumerate(second)}
    shared = [(place, where[key]) for place, key in enumerate(first) if key in where]
    known = set(first)
    pairs = np.array(shared, np.int64).reshape(-1, 2)
    return Alignment(
        pairs[:, 0],
        pairs[:, 1],
        np.array([place for place, key in enumerate(first) if key not in where], np.int64),
        np.array([place for place, key in enumerate(second) if key not in known], np.int64),
    )
