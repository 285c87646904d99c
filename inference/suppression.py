"""Which of the stored candidates are shown at a confidence and an overlap: non-maximum suppression, class by class. Pure.

`static/js/suppression.js` does the same in the browser, so that sliders act at once.
"""

from collections.abc import Sequence
from typing import Any


def shown(objects: list[dict[str, Any]], confidence: float, iou: float) -> list[dict[str, Any]]:
    """Best first: those at or above the confidence that no surer one of their class overlaps by more than `iou`."""
    kept: list[dict[str, Any]] = []
    for found in sorted(objects, key=lambda each: -each["confidence"]):
        if found["confidence"] < confidence:
            break
        rivals = (each for each in kept if each["label_id"] == found["label_id"])
        if all(overlap(each["bbox"], found["bbox"]) <= iou for each in rivals):
            kept.append(found)
    return kept


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes, xywh."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return float(common / (one[2] * one[3] + other[2] * other[3] - common))
