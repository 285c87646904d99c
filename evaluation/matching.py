"""What one image's predictions are worth against its truth, and which items two runs share. Arrays in, arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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

    def where(self, kept: npt.NDArray[np.bool_]) -> "Objects":
        return Objects(self.images[kept], self.categories[kept], self.boxes[kept], self.marks[kept])


def image_f1(images: Ints, truth: Objects, predicted: Objects, iou: float = IOU) -> Floats:
    """F1 of each image (2 TP / (2 TP + FP + FN)), in the order of `images`, which are sorted.

    Predictions by falling score each take the free object of their class and image that they overlap most, if by `iou` or more.
    What meets only a crowd counts neither for nor against, as in COCO. 1 where nothing is there and nothing was said.
    """
    crowds = truth.marks > 0
    hits, ignored = _match(truth, crowds, predicted, iou)
    found = _per_image(images, predicted.images[hits])
    said = _per_image(images, predicted.images) - _per_image(images, predicted.images[ignored])
    there = _per_image(images, truth.images[~crowds])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(said + there > 0, 2 * found / (said + there), 1.0)


def _per_image(images: Ints, keys: Ints) -> Ints:
    return np.bincount(np.searchsorted(images, keys), minlength=len(images)).astype(np.int64)


def _match(truth: Objects, crowds: npt.NDArray[np.bool_], predicted: Objects, iou: float) -> tuple[Ints, Ints]:
    """Positions of predictions that found an object, and of those that met only a crowd."""
    left, right = _same_group(truth, predicted)
    overlaps = _overlaps(predicted.boxes[left], truth.boxes[right], crowds[right])
    near = overlaps >= iou
    left, right, overlaps = left[near], right[near], overlaps[near]
    # By falling score, then file order; for one prediction objects before crowds, then the most overlapped.
    order = np.lexsort((-overlaps, crowds[right], left, -predicted.marks[left]))
    hits, ignored, done, taken = [], [], set(), set()
    for said, real, is_crowd in zip(left[order].tolist(), right[order].tolist(), crowds[right][order].tolist(), strict=True):
        if said in done or real in taken:
            continue
        done.add(said)
        if is_crowd:
            ignored.append(said)
        else:
            taken.add(real)
            hits.append(said)
    return np.array(hits, np.int64), np.array(ignored, np.int64)


def _same_group(truth: Objects, predicted: Objects) -> tuple[Ints, Ints]:
    """All pairs (prediction, object) of one image and class, as two arrays of positions."""
    images = np.unique(np.concatenate([truth.images, predicted.images]))
    categories = np.unique(np.concatenate([truth.categories, predicted.categories]))

    def group(objects: Objects) -> Ints:
        rows, columns = np.searchsorted(images, objects.images), np.searchsorted(categories, objects.categories)
        return (rows * len(categories) + columns).astype(np.int64)

    real, said = group(truth), group(predicted)
    order = np.argsort(real, kind="stable")
    starts, ends = np.searchsorted(real[order], said, "left"), np.searchsorted(real[order], said, "right")
    counts = ends - starts
    left = np.repeat(np.arange(len(said)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return left, order[np.repeat(starts, counts) + within]


def _overlaps(said: Floats, real: Floats, crowds: npt.NDArray[np.bool_]) -> Floats:
    """Intersection over union, row by row; over the prediction's own area where the object is a crowd."""
    low, high = np.maximum(said[:, :2], real[:, :2]), np.minimum(said[:, :2] + said[:, 2:], real[:, :2] + real[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    area, area_there = np.prod(said[:, 2:], axis=1), np.prod(real[:, 2:], axis=1)
    union = np.where(crowds, area, area + area_there - shared)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(union > 0, shared / union, 0.0)


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
