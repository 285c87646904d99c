"""COCO's average precision and recall, from hotcoco behind our own small interface.

The engine gets normalised input: ids counted from one, no gaps, all images of the split, areas filled. Its figures equal
pycocotools' (tested). Where COCO writes -1 nothing is defined, and None stands here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evaluation.metrics.columns import Floats, Ints, Predictions, Scene, Truth
from evaluation.metrics.overlaps import as_rle

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RECALLS = 101
PREDICTIONS_AT_ONCE = 500_000
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass(frozen=True)
class CocoProtocol:
    """How average precision is computed. Areas are pixels; `max_detections` counts per image and category, least first."""

    iou_thresholds: Sequence[float] = IOU_THRESHOLDS
    areas: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(AREAS))
    max_detections: Sequence[int] = (1, 10, 100)


@dataclass(frozen=True)
class CocoFigures:
    """`summary` by COCO's names (AP, AP50, ..., ARl). `precision` is [IoUs, 101 recalls, categories, areas], -1 where undefined,
    `recall` [IoUs, categories, areas], both at the most detections; `scores` the confidence at each point of `precision`.
    `slices` holds the summary of each slice that was asked for.
    """

    summary: dict[str, float | None]
    precision: Floats
    recall: Floats
    scores: Floats
    protocol: CocoProtocol
    slices: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def average_precision(self, category: int, iou: float | None = None, area: str = "all") -> float | None:
        """Of one category; at one IoU, or averaged over all of the protocol. None where it has no object of that area."""
        place = list(self.protocol.areas).index(area)
        values = self.precision[self._ious(iou), :, category, place]
        defined = values[values > -1]
        return float(defined.mean()) if defined.size else None

    def average_recall(self, category: int, iou: float | None = None, area: str = "all") -> float | None:
        place = list(self.protocol.areas).index(area)
        values = self.recall[self._ious(iou), category, place]
        defined = values[values > -1]
        return float(defined.mean()) if defined.size else None

    def _ious(self, iou: float | None) -> Any:
        return slice(None) if iou is None else [int(np.argmin(np.abs(np.asarray(self.protocol.iou_thresholds) - iou)))]


def figures(
    scene: Scene,
    truth: Truth,
    predictions: Predictions,
    kind: str,
    protocol: CocoProtocol | None = None,
    slices: Mapping[str, Ints] | None = None,
) -> CocoFigures:
    """`kind` is what is compared: `bbox`, `segm` or `keypoints`. `slices` names sets of images by position."""
    protocol = protocol or (
        CocoProtocol(areas=_without_small(AREAS), max_detections=(20,)) if kind == "keypoints" else CocoProtocol()
    )
    asked = {name: (images + 1).tolist() for name, images in (slices or {}).items()}
    parts = []
    for categories, sigmas in _portions(scene, predictions, kind):
        mine = truth, predictions
        if len(categories) < len(scene.category_names):
            mine = truth.of_categories(categories), predictions.of_categories(categories)
        true, claimed = _keypoint_datasets(scene, *mine, len(sigmas)) if sigmas is not None else _datasets(scene, *mine, kind)
        parts.append(_evaluated(true, claimed, kind, protocol, categories, sigmas, asked))
    precision, recall, scores = (_joined(parts, name, scene, protocol) for name in ("precision", "recall", "scores"))
    of_slices = {
        name: _weighted([(_defined(truth, kind, protocol, images, part.categories), part.slices[name]) for part in parts])
        for name, images in (slices or {}).items()
    }
    summary = _summary(kind, protocol, precision, recall)
    return CocoFigures(summary, precision[..., -1], recall[..., -1], scores[..., -1], protocol, of_slices)


def _portions(scene: Scene, predictions: Predictions, kind: str) -> list[tuple[Ints, Floats | None]]:
    """Categories that the engine is asked about at once, with their sigmas: it knows one list of them, and takes some 200 bytes
    for a prediction while it works. Categories do not touch each other.
    """
    if kind == "keypoints":
        assert scene.skeletons is not None
        return [*scene.skeletons.alike()]
    counts = np.bincount(predictions.categories, minlength=len(scene.category_names))
    portions = (np.cumsum(counts) - counts) // PREDICTIONS_AT_ONCE
    return [(np.flatnonzero(portions == portion), None) for portion in np.unique(portions)]


@dataclass(frozen=True)
class _Part:
    """What the engine found for some of the categories: its arrays, and its summary of each slice."""

    categories: Ints
    arrays: dict[str, Floats]
    slices: dict[str, dict[str, Any]]


def _evaluated(
    true: Any, claimed: Any, kind: str, protocol: CocoProtocol, categories: Ints, sigmas: Floats | None, slices: dict[str, Any]
) -> _Part:
    import hotcoco

    evaluation = hotcoco.COCOeval(true, claimed, kind)
    parameters = evaluation.params
    parameters.iou_thrs = list(protocol.iou_thresholds)
    parameters.max_dets = list(protocol.max_detections)
    parameters.area_rng, parameters.area_rng_lbl = [list(area) for area in protocol.areas.values()], list(protocol.areas)
    parameters.cat_ids = (categories + 1).tolist()
    if sigmas is not None:
        parameters.kpt_oks_sigmas = sigmas.tolist()
    evaluation.evaluate()
    evaluation.accumulate()
    found: Any = evaluation.eval
    arrays = {name: np.asarray(found[name]) for name in ("precision", "recall", "scores")}
    return _Part(categories, arrays, evaluation.slice_by(slices) if slices else {})


def _joined(parts: Sequence[_Part], name: str, scene: Scene, protocol: CocoProtocol) -> Floats:
    """Along the axis of all categories; -1 for those about which there was nothing to ask."""
    recalls = [] if name == "recall" else [RECALLS]
    sizes = (len(scene.category_names), len(protocol.areas), len(protocol.max_detections))
    found = np.full((len(protocol.iou_thresholds), *recalls, *sizes), -1.0)
    for part in parts:
        found[..., part.categories, :, :] = part.arrays[name]
    return found


def _weighted(parts: Sequence[tuple[Mapping[str, int], Mapping[str, Any]]]) -> dict[str, float | None]:
    """Means over the categories that are defined in each part as the mean over those of all parts."""
    found: dict[str, float | None] = {}
    for metric in (name for name, value in (parts[0][1] if parts else {}).items() if isinstance(value, float)):
        known = [(counts.get(metric[2:], counts["all"]), of[metric]) for counts, of in parts if of[metric] > -1]
        total = sum(count for count, _ in known)
        found[metric] = sum(value * count for count, value in known) / total if known else None
    return found


def _defined(truth: Truth, kind: str, protocol: CocoProtocol, images: Ints, categories: Ints) -> dict[str, int]:
    """How many of the categories have an object to be found in these images, by the area's first letter and in `all`."""
    counted = ~truth.left_out(kind) & np.isin(truth.images, images) & np.isin(truth.categories, categories)
    found = {}
    for name, (low, high) in protocol.areas.items():
        inside = counted & (truth.areas >= low) & (truth.areas <= high)
        found[name if name == "all" else name[0]] = len(np.unique(truth.categories[inside]))
    return found


def _without_small(areas: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {name: area for name, area in areas.items() if name != "small"}


def _images(scene: Scene) -> list[dict[str, int]]:
    return [{"id": place + 1, "width": int(width), "height": int(height)} for place, (width, height) in enumerate(scene.sizes)]


def _categories(scene: Scene) -> list[dict[str, Any]]:
    return [{"id": place + 1, "name": name} for place, name in enumerate(scene.category_names)]


def _datasets(scene: Scene, truth: Truth, predictions: Predictions, kind: str) -> tuple[Any, Any]:
    import hotcoco

    with_masks = kind == "segm"
    true = hotcoco.COCO.from_arrays(
        _images(scene),
        _categories(scene),
        truth.images + 1,
        truth.categories + 1,
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.crowds,
        segmentation=_masks(scene, truth) if with_masks else None,
    )
    rows = np.column_stack([predictions.images + 1, predictions.boxes, predictions.scores, predictions.categories + 1])
    masks: list[Any] = [
        as_rle(each, scene.sizes[image]) for each, image in zip(predictions.masks or [], predictions.images, strict=False)
    ]
    return true, _sized(true.load_res(rows, segmentation=masks if with_masks else None), predictions.areas)


def _masks(scene: Scene, truth: Truth) -> list[Any]:
    """As they are; an object without a mask has an empty one."""
    sizes = scene.sizes[truth.images]
    return [as_rle(None, size) if each is None else each for each, size in zip(truth.masks or [], sizes, strict=True)]


def _sized(claimed: Any, areas: Floats | None) -> Any:
    """The results under the areas that they come with; the engine takes those of the boxes otherwise."""
    if areas is not None and len(areas):
        claimed.update_anns(ids=np.arange(1, len(areas) + 1), area=areas)
    return claimed


def _keypoint_datasets(scene: Scene, truth: Truth, predictions: Predictions, points: int) -> tuple[Any, Any]:
    """Of categories that all have so many points."""
    import hotcoco

    assert truth.keypoints is not None
    assert predictions.keypoints is not None
    objects = [
        {
            "id": place + 1,
            "image_id": int(truth.images[place]) + 1,
            "category_id": int(truth.categories[place]) + 1,
            "bbox": truth.boxes[place].tolist(),
            "area": float(truth.areas[place]),
            "iscrowd": int(truth.crowds[place]),
            "keypoints": truth.keypoints[place, :points].ravel().tolist(),
            "num_keypoints": int((truth.keypoints[place, :, 2] > 0).sum()),
        }
        for place in range(len(truth))
    ]
    true = hotcoco.COCO({"images": _images(scene), "categories": _categories(scene), "annotations": objects})
    claims = [
        {
            "image_id": int(predictions.images[place]) + 1,
            "category_id": int(predictions.categories[place]) + 1,
            "bbox": predictions.boxes[place].tolist(),
            "keypoints": predictions.keypoints[place, :points].ravel().tolist(),
            "score": float(predictions.scores[place]),
        }
        for place in range(len(predictions))
    ]
    return true, _sized(true.load_res(claims), predictions.areas)


def _summary(kind: str, protocol: CocoProtocol, precision: Floats, recall: Floats) -> dict[str, float | None]:
    """COCO's figures by name, as pycocotools averages them: over all thresholds, recalls and categories that are defined."""
    areas = list(protocol.areas)

    def ap(iou: float | None = None, area: str = "all") -> float | None:
        return _mean(precision[_at(protocol, iou), :, :, areas.index(area), -1]) if area in areas else None

    def ar(limit: int = -1, iou: float | None = None, area: str = "all") -> float | None:
        return _mean(recall[_at(protocol, iou), :, areas.index(area), limit]) if area in areas else None

    found: dict[str, float | None] = {"AP": ap()}
    found |= {f"AP{round(100 * iou)}": ap(iou) for iou in (0.5, 0.75) if iou in protocol.iou_thresholds}
    found |= {f"AP{area[0]}": ap(area=area) for area in areas if area != "all"}
    if kind == "keypoints":
        found["AR"] = ar()
        found |= {f"AR{round(100 * iou)}": ar(iou=iou) for iou in (0.5, 0.75) if iou in protocol.iou_thresholds}
    else:
        found |= {f"AR{limit}": ar(place) for place, limit in enumerate(protocol.max_detections)}
    return found | {f"AR{area[0]}": ar(area=area) for area in areas if area != "all"}


def _at(protocol: CocoProtocol, iou: float | None) -> Any:
    return slice(None) if iou is None else [list(protocol.iou_thresholds).index(iou)]


def _mean(values: Floats) -> float | None:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None
