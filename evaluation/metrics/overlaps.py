"""How much a prediction and an object overlap, 0..1: by box, by mask, by keypoints. For a crowd over the prediction's area alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaluation.metrics.columns import Floats, Ints, Predictions, Scene, Skeletons, Truth

# Of each row: (truth, predictions, positions of objects, positions of predictions) -> overlaps.
Overlap = Callable[[Truth, Predictions, Ints, Ints], Floats]


def overlap_of(kind: str, scene: Scene) -> Overlap:
    if kind == "bbox":
        return box_overlaps
    if kind == "segm":
        return MaskOverlaps(scene)
    assert scene.skeletons is not None
    return KeypointOverlaps(scene.skeletons)


def box_overlaps(truth: Truth, predictions: Predictions, objects: Ints, claims: Ints) -> Floats:
    left, top, width, height = truth.boxes[objects].T
    other_left, other_top, other_width, other_height = predictions.boxes[claims].T
    across = np.minimum(left + width, other_left + other_width) - np.maximum(left, other_left)
    down = np.minimum(top + height, other_top + other_height) - np.maximum(top, other_top)
    shared = np.where((across > 0) & (down > 0), across * down, 0.0)
    whole = other_width * other_height
    union = np.where(truth.crowds[objects], whole, width * height + whole - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros(len(shared)), where=union > 0))


class MaskOverlaps:
    """Masks are compared only where their boxes meet; polygons are drawn once, in the size of their image."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def __call__(self, truth: Truth, predictions: Predictions, objects: Ints, claims: Ints) -> Floats:
        found = np.zeros(len(objects))
        near = np.flatnonzero(box_overlaps(truth, predictions, objects, claims) > 0)
        by_object = near[np.argsort(objects[near], kind="stable")]
        for rows in np.split(by_object, np.flatnonzero(np.diff(objects[by_object])) + 1):
            if len(rows):
                found[rows] = self._overlaps_with(truth, predictions, int(objects[rows[0]]), claims[rows])
        return found

    def _overlaps_with(self, truth: Truth, predictions: Predictions, one: int, claims: Ints) -> Floats:
        from pycocotools import mask

        size = self.scene.sizes[truth.images[one]]
        theirs = [as_rle((predictions.masks or [])[claim], size) for claim in claims]
        mine = as_rle((truth.masks or [])[one], size)
        return np.asarray(mask.iou(theirs, [mine], [int(truth.crowds[one])]))[:, 0]


def as_rle(segmentation: Any, size: Sequence[int] | Ints) -> dict[str, Any]:
    """COCO's run-length code of a mask; `size` is width, height. Polygons are drawn as pycocotools draws them."""
    from pycocotools import mask

    if isinstance(segmentation, dict):
        return {"size": segmentation["size"], "counts": segmentation["counts"].encode("ascii")}
    width, height = int(size[0]), int(size[1])
    if not segmentation:
        return dict(mask.encode(np.zeros((height, width), np.uint8, order="F")))
    return dict(mask.merge(mask.frPyObjects(segmentation, height, width)))


class KeypointOverlaps:
    """Object keypoint similarity. Without labelled points the distance to the object's doubled box counts, as in pycocotools.

    Poses of different points overlap nothing.
    """

    def __init__(self, skeletons: Skeletons) -> None:
        self.skeletons = skeletons

    def __call__(self, truth: Truth, predictions: Predictions, objects: Ints, claims: Ints) -> Floats:
        assert truth.keypoints is not None
        assert predictions.keypoints is not None
        points, others = truth.keypoints[objects], predictions.keypoints[claims]
        categories = truth.categories[objects]
        sigmas = self.skeletons.sigmas[categories]
        is_comparable = self.skeletons.kinds[categories] == self.skeletons.kinds[predictions.categories[claims]]
        labelled = points[:, :, 2] > 0
        across, down = others[:, :, 0] - points[:, :, 0], others[:, :, 1] - points[:, :, 1]
        unlabelled = np.asarray(~labelled.any(axis=1))
        if unlabelled.any():
            left, top, width, height = truth.boxes[objects[unlabelled]].T[:, :, None]
            x, y = others[unlabelled, :, 0], others[unlabelled, :, 1]
            across[unlabelled] = np.maximum(0, left - width - x) + np.maximum(0, x - (left + 2 * width))
            down[unlabelled] = np.maximum(0, top - height - y) + np.maximum(0, y - (top + 2 * height))
        scale = (truth.areas[objects] + np.spacing(1))[:, None]
        likeness = np.exp(-(across**2 + down**2) / (2 * sigmas) ** 2 / scale / 2)
        counted = ~np.isnan(sigmas) & (unlabelled[:, None] | labelled)
        count = counted.sum(axis=1)
        total = np.where(counted, likeness, 0.0).sum(axis=1)
        return np.asarray(np.divide(total, count, out=np.zeros(len(count)), where=is_comparable & (count > 0)))
