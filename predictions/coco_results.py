"""COCO results -> rows ready for the database. Pure: no Django, no database, one row in memory at a time.

A results file is a list of {"image_id", "category_id", "score"} with "bbox" ([x, y, width, height], pixels), "segmentation"
(RLE or polygons) and "keypoints" ([x, y, v, ...]) row by row in any mixture. Rows that do not fit are counted by reason and
left out, never guessed.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import shapes
from datasets.importers.problems import ProblemLog

Box = tuple[float, float, float, float]


@dataclass(slots=True)
class Truth:
    """What results may speak of: sample and category keys by the ids that a file uses; sizes (pixels) and names by key."""

    samples: dict[Any, int]
    categories: dict[Any, int]
    sizes: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)
    file_names: dict[int, str] = field(default_factory=dict)
    category_names: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class ResultRow:
    sample: int
    category: int
    score: float
    box: Box | None
    area: float | None = None
    segmentation: list[Any] | dict[str, Any] | None = None
    keypoints: list[float] | None = None


class RowRefused(Exception):
    """This row does not fit: a key of REASONS, and what it said."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def id_map(pairs: Iterable[tuple[str, int]]) -> dict[Any, int]:
    """Keys by external id, found by the id as text and, where it is a plain whole number, by that number as well."""
    found: dict[Any, int] = {}
    for text, key in pairs:
        found[text] = key
        if text.isdecimal() and text == str(int(text)):
            found[int(text)] = key
    return found


def read_results(rows: Iterable[Any], truth: Truth, problems: ProblemLog, fixes: frozenset[str]) -> Iterator[ResultRow]:
    """The rows that fit, in file order."""
    for number, row in enumerate(rows, start=1):
        try:
            yield parse_row(row, truth, fixes)
        except RowRefused as refused:
            problems.add(refused.reason, row=number, detail=refused.detail)


def parse_row(row: Any, truth: Truth, fixes: frozenset[str] = frozenset()) -> ResultRow:
    """One row of the file, checked in full. Raises RowRefused."""
    if not isinstance(row, Mapping):
        raise RowRefused("not_an_object", f"the row is {_short(row)}, not an object with image_id, category_id, score")
    sample = _resolve(row, "image_id", truth.samples, "unknown_image")
    category = _resolve(row, "category_id", truth.categories, "unknown_category")
    score = _number(_field(row, "score"), "score")
    box = _box(row["bbox"]) if row.get("bbox") else None
    size = truth.sizes.get(sample, (None, None))
    segmentation, area = _mask(row["segmentation"], size) if row.get("segmentation") else (None, None)
    keypoints = _keypoints(row["keypoints"]) if row.get("keypoints") else None
    if box is None:
        box = _box_from(segmentation, size, keypoints)
    else:
        # pycocotools tells small objects from large by the box wherever results give one, also of masks (COCO.loadRes).
        box, area = fix_box(box, size, fixes), None
    return ResultRow(sample, category, score, box, area, segmentation, keypoints)


def fix_box(box: Box, size: tuple[int | None, int | None], fixes: frozenset[str]) -> Box:
    """The box after the fixes that the user switched on, checked against degeneration. Sizes and boxes in pixels."""
    x, y, width, height = box
    if "scale_fractions" in fixes and size[0] and size[1]:
        x, y, width, height = x * size[0], y * size[1], width * size[0], height * size[1]
    if "convert_xyxy" in fixes:
        width, height = width - x, height - y
    if width < 0 or height < 0:
        raise RowRefused("box_degenerate", f"bbox {[x, y, width, height]} has a negative side")
    if "clip_boxes" in fixes and size[0] and size[1]:
        right, bottom = min(x + width, size[0]), min(y + height, size[1])
        x, y = max(x, 0.0), max(y, 0.0)
        if right <= x or bottom <= y:
            raise RowRefused("box_outside_image", f"bbox {list(box)} lies outside the image of {size[0]} x {size[1]}")
        width, height = right - x, bottom - y
    return x, y, width, height


def _resolve(row: Mapping[str, Any], name: str, known: dict[Any, int], reason: str) -> int:
    value = _field(row, name)
    if isinstance(value, (bool, list, dict)) or value is None:
        raise RowRefused(reason, f"{name} is {_short(value)}")
    found = known.get(value)
    if found is None:
        found = known.get(str(value))
    if found is None:
        raise RowRefused(reason, f"{name} {_short(value)}")
    return found


def _field(row: Mapping[str, Any], name: str) -> Any:
    try:
        return row[name]
    except KeyError:
        raise RowRefused("missing_field", f"{name} is missing") from None


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        # The stream hands NaN and Infinity over as empty text: JSON has no such numbers.
        reason = "not_a_number" if value == "" else "not_numeric"
        raise RowRefused(reason, f"{name} is {'NaN or infinite' if value == '' else _short(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RowRefused("not_a_number", f"{name} is too large to be stored as a number")
    return number


def _box(value: Any) -> Box:
    if not isinstance(value, list) or len(value) != 4:
        raise RowRefused("not_numeric", f"bbox is {_short(value)}, not four numbers")
    x, y, width, height = (_number(part, "bbox") for part in value)
    return x, y, width, height


def _mask(value: Any, size: tuple[int | None, int | None]) -> tuple[list[Any] | dict[str, Any], float]:
    try:
        mask = shapes.normalise_segmentation(value, *size)
        return mask, shapes.segmentation_area(mask, *size)
    except ValueError as error:
        raise RowRefused("bad_segmentation", str(error)) from None


def _keypoints(value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) % 3:
        raise RowRefused("bad_keypoints", "keypoints is not a list of x, y, visibility")
    return [_number(part, "keypoints") for part in value]


def _box_from(
    segmentation: list[Any] | dict[str, Any] | None, size: tuple[int | None, int | None], keypoints: list[float] | None
) -> Box:
    """The box around the mask, or else around the keypoints, as pycocotools fills it (COCO.loadRes)."""
    if segmentation is not None:
        return shapes.segmentation_bounds(segmentation, *size)
    if keypoints:
        xs, ys = keypoints[0::3], keypoints[1::3]
        return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    raise RowRefused("missing_field", "the row has no bbox, segmentation or keypoints")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
