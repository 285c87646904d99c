"""Rows of COCO files -> records, checked in full. Pure.

What does not fit is refused row by row with a reason; ids are labels and stay verbatim, as text.
"""

from dataclasses import dataclass, field
from typing import Any

from datasets import shapes
from datasets.importers.base import AnnotationRecord, CategoryRecord, SampleRecord
from datasets.importers.problems import ProblemLog

LONGEST_NAME = 1_000
UNKNOWN_KEPT = 10_000
NUMBERS: frozenset[Any] = frozenset((int, float))

Size = tuple[int | None, int | None]


class RowRefused(Exception):
    """This row does not fit: a key of REASONS, and what it said."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass
class Seen:
    """What the passes so far have found, and what the boxes look like."""

    sizes: dict[Any, tuple[str, Size]] = field(default_factory=dict)
    categories: dict[Any, str] = field(default_factory=dict)
    category_names: set[str] = field(default_factory=set)
    keypoint_counts: dict[str, int] = field(default_factory=dict)
    annotation_ids: set[Any] = field(default_factory=set)
    unknown_images: set[Any] = field(default_factory=set)
    unknown_categories: set[Any] = field(default_factory=set)
    scored: int = 0
    boxes: int = 0
    past_the_edge: int = 0
    like_corners: int = 0
    like_fractions: int = 0


def category_record(row: Any) -> CategoryRecord:
    """One of "categories", checked. Raises RowRefused."""
    name = _field(row, "name")
    keypoints, skeleton = row.get("keypoints") or [], row.get("skeleton") or []
    if not isinstance(keypoints, list) or not isinstance(skeleton, list):
        raise RowRefused("bad_keypoints", "keypoints and skeleton are not lists")
    return CategoryRecord(
        external_id=id_text(_field(row, "id")),
        name=_name(str(name)),
        supercategory=_name(str(row.get("supercategory") or "")),
        keypoint_names=[_name(str(keypoint)) for keypoint in keypoints],
        skeleton=_bones(skeleton, len(keypoints)),
    )


def _bones(skeleton: list[Any], keypoints: int) -> list[list[int]]:
    """Pairs of keypoints, counted from 1 as COCO does; some tools count from 0, which a 0 among them gives away."""
    pairs = [pair for pair in skeleton if isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair)]
    shift = 1 if any(0 in pair for pair in pairs) else 0
    moved = [[first + shift, second + shift] for first, second in pairs]
    return [pair for pair in moved if min(pair) >= 1 and max(pair) <= keypoints]


def sample_record(row: Any) -> SampleRecord:
    """One of "images", checked. Raises RowRefused."""
    return SampleRecord(
        external_id=id_text(_field(row, "id")),
        file_name=_name(str(row.get("file_name") or _field(row, "id"))),
        width=_side(row.get("width")),
        height=_side(row.get("height")),
    )


def annotation_record(row: Any, number: int, fixes: frozenset[str], seen: Seen, problems: ProblemLog) -> AnnotationRecord:
    """One of "annotations", checked in full. Raises RowRefused."""
    sample, size, category = _references(row, seen)
    mask, mask_area = _mask(row["segmentation"], size) if row.get("segmentation") else (None, None)
    box = _box(row.get("bbox"), size, fixes, seen)
    if box is None and mask is not None:
        box = _bounds(mask)
    keypoints = _keypoints(row["keypoints"], seen.keypoint_counts[category]) if row.get("keypoints") else None
    area, rule = _area(row.get("area"), mask_area, box)
    if "score" in row:
        seen.scored += 1
    # By position: this runs once per row of a file with millions.
    return AnnotationRecord(
        sample, category, box, area, rule, row.get("iscrowd") in (1, True), mask, keypoints,
        _own_id(row, number, seen, problems), number,
    )  # fmt: skip


def _references(row: Any, seen: Seen) -> tuple[str, Size, str]:
    """The sample's id and size, and the category's id. Raises RowRefused."""
    try:
        image, kind = row["image_id"], row["category_id"]
        known, category = seen.sizes[image], seen.categories[kind]
        # True would be found as 1.
        if image.__class__ is not bool and kind.__class__ is not bool:
            return *known, category
    except (KeyError, TypeError):
        pass
    raise _reference_refusal(row, seen)


def _reference_refusal(row: Any, seen: Seen) -> RowRefused:
    """Why image and category could not be told. Other kinds of files are told apart first."""
    image = _field(row, "image_id")
    if "caption" in row and not row.get("bbox"):
        return RowRefused("captions_ignored", "")
    if "segments_info" in row:
        return RowRefused("panoptic_ignored", "")
    if isinstance(image, (bool, list, dict)) or image not in seen.sizes:
        _note_unknown(seen.unknown_images, row, "image_id")
        return RowRefused("unknown_image", f"image_id {_short(image)}")
    category = _field(row, "category_id")
    _note_unknown(seen.unknown_categories, row, "category_id")
    return RowRefused("unknown_category", f"category_id {_short(category)}")


def _note_unknown(unknown: set[Any], row: dict[str, Any], name: str) -> None:
    if len(unknown) < UNKNOWN_KEPT and (found := id_of(row, name)) is not None:
        unknown.add(found)


def _own_id(row: dict[str, Any], number: int, seen: Seen, problems: ProblemLog) -> str:
    value = row.get("id")
    if value is None:
        return ""
    text = id_text(value)
    known = len(seen.annotation_ids)
    seen.annotation_ids.add(value)
    if len(seen.annotation_ids) == known:
        problems.add("duplicate_id", row=number, where="annotations", detail=f"id {text}", rejected=False)
    return text


def _box(value: Any, size: Size, fixes: frozenset[str], seen: Seen) -> shapes.Box | None:
    """The box after the fixes that are on, or None where there is none. What it looks like is noted."""
    if not value and (value is None or value == []):
        return None
    if not isinstance(value, list) or len(value) != 4:
        raise RowRefused("not_numeric", f"bbox is {_short(value)}, not four numbers")
    x, y, width, height = value if plain_numbers(value) else [number_of(part, "bbox") for part in value]
    across, down = size
    if "scale_fractions" in fixes and across and down:
        x, y, width, height = x * across, y * down, width * across, height * down
    if "convert_xyxy" in fixes:
        width, height = width - x, height - y
    if width <= 0 or height <= 0:
        raise RowRefused("box_degenerate", f"bbox {[x, y, width, height]}")
    if across and down:
        _note_looks((x, y, width, height), across, down, seen)
        if x >= across or y >= down or x + width <= 0 or y + height <= 0:
            raise RowRefused("box_outside_image", f"bbox {[x, y, width, height]} in an image of {across} x {down}")
        if "clip_boxes" in fixes:
            right, bottom = min(x + width, across), min(y + height, down)
            x, y = max(x, 0.0), max(y, 0.0)
            width, height = right - x, bottom - y
    return x, y, width, height


def _note_looks(box: shapes.Box, across: int, down: int, seen: Seen) -> None:
    x, y, width, height = box
    beyond = x + width > across + 1 or y + height > down + 1 or x < -1 or y < -1
    seen.boxes += 1
    seen.past_the_edge += beyond
    seen.like_corners += across + 1 >= width > x >= 0 and down + 1 >= height > y >= 0
    seen.like_fractions += max(box) <= 1.0


def _mask(value: Any, size: Size) -> tuple[shapes.Segmentation | None, float | None]:
    if isinstance(value, list) and not any(value):
        # [[]]: some tools write an empty polygon where there is none.
        return None, None
    try:
        mask = shapes.normalise_segmentation(value, *size)
        return mask, shapes.segmentation_area(mask)
    except ValueError as error:
        raise RowRefused("bad_segmentation", str(error)) from None


def _bounds(mask: shapes.Segmentation) -> shapes.Box:
    box = shapes.segmentation_bounds(mask)
    if box[2] <= 0 or box[3] <= 0:
        raise RowRefused("bad_segmentation", "the mask is empty, and there is no bbox")
    return box


def _keypoints(value: Any, expected: int) -> list[float]:
    if not isinstance(value, list) or len(value) % 3:
        raise RowRefused("bad_keypoints", "keypoints is not a list of x, y, visibility")
    if expected and len(value) != 3 * expected:
        raise RowRefused("bad_keypoints", f"{len(value) // 3} keypoints where the category has {expected}")
    return [number_of(part, "keypoints") for part in value]


def _area(value: Any, mask_area: float | None, box: shapes.Box | None) -> tuple[float | None, str]:
    """The file's own area where it has one (COCO's sizes go by the mask's), else the mask's, else the box's."""
    if value is not None:
        return number_of(value, "area"), "file"
    if mask_area is not None:
        return mask_area, "mask"
    return (box[2] * box[3], "box") if box else (None, "")


def id_of(row: Any, name: str) -> int | str | None:
    """The id that a row refers to, where it is one."""
    value = row.get(name) if isinstance(row, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def id_text(value: Any) -> str:
    """An id verbatim as text; a whole number written as 7.0 is 7. Raises RowRefused."""
    if value.__class__ is int:
        return str(value)
    if value == "":
        # What the stream makes of NaN as well.
        raise RowRefused("missing_field", "the id is empty")
    if isinstance(value, bool) or not isinstance(value, (float, str)):
        raise RowRefused("not_numeric", f"id is {_short(value)}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _name(str(value))


def plain_numbers(values: list[Any]) -> bool:
    """The quick look that nearly every row passes: whole or floating numbers of an ordinary size."""
    for value in values:  # noqa: SIM110 - all() over a generator takes three times as long
        if value.__class__ not in NUMBERS or not -1e300 < value < 1e300:
            return False
    return True


def number_of(value: Any, name: str) -> float:
    """A finite number. Raises RowRefused. The stream hands NaN, Infinity and what is too large over as empty text."""
    if value.__class__ in NUMBERS and -1e300 < value < 1e300:
        return float(value)
    if value == "" or value.__class__ in NUMBERS:
        raise RowRefused("not_a_number", f"{name} is NaN, infinite or too large")
    raise RowRefused("not_numeric", f"{name} is {_short(value)}")


def _field(row: Any, name: str) -> Any:
    if not isinstance(row, dict):
        raise RowRefused("not_an_object", f"the row is {_short(row)}")
    if row.get(name) is None:
        raise RowRefused("missing_field", f"{name} is missing")
    return row[name]


def _side(value: Any) -> int | None:
    """A width or height in pixels; what is none is unknown."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= shapes.LARGEST_SIDE:
        return int(value)
    return None


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME or "\0" in text:
        raise RowRefused("name_too_long", _short(text))
    return text.encode("utf-8", "replace").decode()


def remember(known: dict[Any, Any], raw: Any, value: Any) -> None:
    """Under the id as the file writes it, and as text, and as number where the text is one: files mix them."""
    text = id_text(raw)
    known[raw] = known[text] = value
    if text.isdecimal() and text == str(int(text)):
        known[int(text)] = value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
