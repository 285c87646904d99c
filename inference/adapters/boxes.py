"""YOLO's geometry: letterboxes, non-maximum suppression, and back to the image's pixels. One place for all adapters that need it.

Raw outputs are [4 + classes + extra, candidates]: centre x, centre y, width, height in pixels of the letterbox, a score for each
class, then whatever the head adds. Chosen rows are [objects, 6 + extra]: left, top, right, bottom, confidence, class, extra.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torchvision.ops import nms

from datasets.shapes import Box, xyxy_to_xywh
from inference.adapters.base import DetectedObject, Image, InferenceSettings

GREY = (114, 114, 114)
MOST_CANDIDATES = 30_000
# Boxes of different classes are moved apart by more than any image is wide, so that one pass keeps classes apart.
APART = 7680


@dataclass(frozen=True)
class Letterbox:
    """An image scaled to fit and padded with grey: uint8, [height, width, 3], and where in it the image lies (pixels)."""

    pixels: Image
    gain: tuple[float, float]  # x, y
    left: int
    top: int


def letterbox(image: Image, size: tuple[int, int], stride: int = 0) -> Letterbox:
    """To `size` (height, width); with a stride, to the smallest multiples of it that hold the scaled image."""
    height, width = image.shape[:2]
    gain = min(size[0] / height, size[1] / width)
    across, down = max(round(width * gain), 1), max(round(height * gain), 1)
    spare_x, spare_y = size[1] - across, size[0] - down
    if stride:
        spare_x, spare_y = spare_x % stride, spare_y % stride
    if (height, width) != (down, across):
        image = cv2.resize(image, (across, down), interpolation=cv2.INTER_LINEAR)
    # The odd pixel goes to the right and below, as Ultralytics has it.
    left, top = round(spare_x / 2 - 0.1), round(spare_y / 2 - 0.1)
    right, bottom = spare_x - left, spare_y - top
    pixels = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=GREY)
    return Letterbox(pixels, (across / width, down / height), left, top)


def choose_boxes(raw: torch.Tensor, class_count: int, settings: InferenceSettings) -> torch.Tensor:
    """The rows that non-maximum suppression within each class leaves, surest first."""
    confidences, classes = raw[4 : 4 + class_count].max(0)
    sure = confidences > settings.confidence
    rows = raw[:, sure].T
    confidences, classes = confidences[sure], classes[sure]
    if len(rows) > MOST_CANDIDATES:
        best = confidences.argsort(descending=True)[:MOST_CANDIDATES]
        rows, confidences, classes = rows[best], confidences[best], classes[best]
    half = rows[:, 2:4] / 2
    corners = torch.cat((rows[:, :2] - half, rows[:, :2] + half), 1)
    kept = nms(corners + classes[:, None].float() * APART, confidences, settings.iou)[: settings.max_objects]
    columns = (corners, confidences[:, None], classes[:, None].float(), rows[:, 4 + class_count :])
    return torch.cat(columns, 1)[kept]


def choose_final(rows: torch.Tensor, settings: InferenceSettings) -> torch.Tensor:
    """Of a head that needs no suppression, whose rows are final: the sure ones."""
    return rows[rows[:, 4] > settings.confidence][: settings.max_objects].float()


def to_image(points: torch.Tensor, box: Letterbox, image: Image) -> torch.Tensor:
    """x, y of the last dimension from the letterbox to the image, within its edges. A copy; further columns stay."""
    height, width = image.shape[:2]
    points = points.clone()
    points[..., 0] = ((points[..., 0] - box.left) / box.gain[0]).clamp(0, width)
    points[..., 1] = ((points[..., 1] - box.top) / box.gain[1]).clamp(0, height)
    return points


def boxes_to_image(rows: torch.Tensor, box: Letterbox, image: Image) -> torch.Tensor:
    """The rows with their corners in the image's pixels."""
    corners = to_image(rows[:, :4].reshape(-1, 2, 2), box, image).reshape(-1, 4)
    return torch.cat((corners, rows[:, 4:]), 1)


def objects(rows: torch.Tensor, class_names: list[str]) -> list[DetectedObject]:
    """Rows in the image's pixels as objects without masks and keypoints."""
    return [
        DetectedObject(class_names[int(row[5])], int(row[5]), row[4], _box(row)) for row in rows[:, :6].float().cpu().tolist()
    ]


def _box(row: list[float]) -> Box:
    return xyxy_to_xywh(*row[:4])


def as_batch(boxes: list[Letterbox]) -> torch.Tensor:
    """uint8 [images, 3, height, width] of letterboxes of one shape."""
    return torch.from_numpy(np.stack([box.pixels for box in boxes])).permute(0, 3, 1, 2)
