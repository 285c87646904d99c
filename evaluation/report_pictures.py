"""Pictures that stand inside a report: curves as SVG paths, crops as data."""

import base64
from dataclasses import dataclass
from typing import Any

from datasets import media
from datasets.importers.image_files import ImageRefused
from evaluation.galleries import Choice, Crop, choose, crops
from evaluation.models import TestRun
from evaluation.operating_points import Point

WIDTH, HEIGHT = 300, 200


@dataclass(frozen=True)
class Picture:
    """Lines in a field of WIDTH x HEIGHT, both axes from 0 to 1; `mark` is an upright line."""

    title: str
    x: str
    lines: list[tuple[str, str]]
    mark: float | None = None


def precision_recall_picture(test_run: TestRun) -> Picture | None:
    values = test_run.curves.get("precision_recall")
    if not values:
        return None
    across = [place / max(1, len(values) - 1) for place in range(len(values))]
    return Picture("Precision over recall", "recall", [("precision", _path(across, values))])


def confidence_picture(test_run: TestRun, confidence: float) -> Picture | None:
    values = test_run.curves.get("confidence") or {}
    if not values.get("confidence"):
        return None
    lines = [(name, _path(values["confidence"], values[name])) for name in ("precision", "recall", "f1")]
    return Picture("Precision, recall and F1 over confidence", "confidence", lines, round(confidence * WIDTH, 1))


def _path(across: list[float], up: list[float]) -> str:
    points = [f"{x * WIDTH:.1f} {(1 - y) * HEIGHT:.1f}" for x, y in zip(across, up, strict=True)]
    return "M" + "L".join(points)


def crop_pictures(point: Point, most: int) -> list[dict[str, Any]]:
    """The surest mistakes, each with its picture as data where its image can be read."""
    found = choose(point.test_run, Choice(outcome="wrong"), point.confidence).part(0, most)
    return [{"crop": crop, "data": _data(crop)} for crop in crops(point.test_run, point.table, found)]


def _data(crop: Crop) -> str:
    if not crop.sample.image:
        return ""
    try:
        picture = media.kept_crop(crop.sample, crop.window) if crop.window else media.thumb(crop.sample, 320)
    except ImageRefused:
        return ""
    return f"data:{picture.content_type};base64,{base64.b64encode(picture.content).decode()}"
