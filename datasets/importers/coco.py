"""COCO annotations: images, categories and annotations in any order, ids verbatim as text. Pure.

Three passes over the file, one per array, so that annotations stream while the small arrays are known.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import shapes
from datasets.importers import annotation_files
from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord, Source
from datasets.importers.image_files import ImageFinder, ImageRefused
from datasets.importers.json_stream import JsonStream
from datasets.importers.problems import ImportRefused, ProblemLog

LONGEST_NAME = 1_000
# A heuristic speaks up when this share of the boxes looks that way.
TELLING_SHARE = 0.05
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
    keypoint_counts: dict[str, int] = field(default_factory=dict)
    annotation_ids: set[Any] = field(default_factory=set)
    boxes: int = 0
    past_the_edge: int = 0
    like_xyxy: int = 0
    like_fractions: int = 0


class CocoImporter:
    """Reads instances and keypoints files; captions are counted and left out."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        stream = JsonStream(annotations_file(source.path, source.split), source.progress)
        if stream.kind() != "object":
            raise ImportRefused(
                "This JSON is not a COCO dictionary.",
                remedy="COCO ground truth is an object with images, annotations and categories; a list is a results file.",
            )
        seen = Seen()
        yield from self._categories(stream, problems, seen)
        finder = ImageFinder(source.images) if source.images else None
        yield from self._samples(stream, finder, problems, seen)
        if not seen.sizes:
            raise ImportRefused("The file has no images.", where='"images"', remedy="COCO ground truth lists its images there.")
        yield from self._annotations(stream, source.fixes, problems, seen)
        _conclude(seen, problems)

    def _categories(self, stream: JsonStream, problems: ProblemLog, seen: Seen) -> Iterator[Record]:
        for number, row in enumerate(stream.items("categories.item"), start=1):
            try:
                record = category_record(row)
                if record.external_id in seen.categories.values():
                    raise RowRefused("duplicate_id", f"category id {record.external_id}")
            except RowRefused as refused:
                problems.add(refused.reason, row=number, where="categories", detail=refused.detail, kind="categories")
                continue
            _remember(seen.categories, row["id"], record.external_id)
            seen.keypoint_counts[record.external_id] = len(record.keypoint_names)
            yield record

    def _samples(self, stream: JsonStream, finder: ImageFinder | None, problems: ProblemLog, seen: Seen) -> Iterator[Record]:
        known: set[str] = set()
        for number, row in enumerate(stream.items("images.item"), start=1):
            try:
                record = sample_record(row)
                if record.external_id in known:
                    raise RowRefused("duplicate_image", f"image id {record.external_id}")
                if finder:
                    add_image_file(record, finder, problems, number)
            except RowRefused as refused:
                problems.add(refused.reason, row=number, where="images", detail=refused.detail, kind="samples")
                continue
            known.add(record.external_id)
            _remember(seen.sizes, row["id"], (record.external_id, (record.width, record.height)))
            yield record

    def _annotations(self, stream: JsonStream, fixes: frozenset[str], problems: ProblemLog, seen: Seen) -> Iterator[Record]:
        captions = 0
        for number, row in enumerate(stream.items("annotations.item"), start=1):
            try:
                yield annotation_record(row, number, fixes, seen, problems)
            except RowRefused as refused:
                if refused.reason == "captions_ignored":
                    captions += 1
                    continue
                problems.add(refused.reason, row=number, where="annotations", detail=refused.detail, kind="annotations")
        if captions:
            problems.add("captions_ignored", count=captions, kind="annotations", detail=f"{captions:,} captions")


def annotations_file(path: Path, split: str | None) -> Path:
    """The file itself; in a folder the only annotations file, or the one whose name holds the split's."""
    if path.is_file():
        return path
    found = annotation_files(path)
    named = [file for file in found if split and split in str(file.relative_to(path))]
    instances = [file for file in named or found if "instances" in file.name]
    for candidates in (found, named, instances):
        if len(candidates) == 1:
            return candidates[0]
    names = ", ".join(str(file.relative_to(path)) for file in found[:6]) or "none"
    raise ImportRefused(
        f"The folder has {len(found)} annotation files, so which one is meant is open.",
        where=names,
        remedy="Import the file itself and name its images' folder, or name the split as the file does.",
    )


def category_record(row: Any) -> CategoryRecord:
    """One of "categories", checked. Raises RowRefused."""
    name = _field(row, "name")
    keypoints, skeleton = row.get("keypoints") or [], row.get("skeleton") or []
    if not isinstance(keypoints, list) or not isinstance(skeleton, list):
        raise RowRefused("bad_keypoints", "keypoints and skeleton are not lists")
    pairs = [pair for pair in skeleton if isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair)]
    return CategoryRecord(
        external_id=id_text(_field(row, "id")),
        name=_name(str(name)),
        supercategory=_name(str(row.get("supercategory") or "")),
        keypoint_names=[_name(str(keypoint)) for keypoint in keypoints],
        skeleton=pairs,
    )


def sample_record(row: Any) -> SampleRecord:
    """One of "images", checked. Raises RowRefused."""
    return SampleRecord(
        external_id=id_text(_field(row, "id")),
        file_name=_name(str(row.get("file_name") or _field(row, "id"))),
        width=_side(row.get("width")),
        height=_side(row.get("height")),
    )


def add_image_file(record: SampleRecord, finder: ImageFinder, problems: ProblemLog, row: int | None) -> None:
    """Find and inspect the sample's image file; what is wrong with it is noted, the sample stays, on a blank canvas."""
    try:
        found = finder.find(record.file_name)
    except ImageRefused as refused:
        problems.add(refused.reason, row=row, where=record.file_name, detail=refused.detail, rejected=False)
        return
    declared, raw = (record.width, record.height), (found.width, found.height)
    turned = (found.height, found.width) if found.orientation >= 5 else raw
    record.path, record.image_format, record.orientation = found.path, found.image_format, found.orientation
    record.exif_transposed = declared != raw or turned == raw
    if found.orientation != 1:
        problems.add("exif_rotated", row=row, where=record.file_name, detail=f"orientation {found.orientation}", rejected=False)
    if None in declared:
        record.width, record.height, record.exif_transposed = *turned, True
    elif declared not in (raw, turned):
        detail = f"{record.width} x {record.height} declared, the image has {turned[0]} x {turned[1]}"
        problems.add("size_disagrees", row=row, where=record.file_name, detail=detail, rejected=False)


def annotation_record(row: Any, number: int, fixes: frozenset[str], seen: Seen, problems: ProblemLog) -> AnnotationRecord:
    """One of "annotations", checked in full. Raises RowRefused."""
    sample, size, category = _references(row, seen)
    mask, mask_area = _mask(row["segmentation"], size) if row.get("segmentation") else (None, None)
    box = _box(row.get("bbox"), size, fixes, seen)
    if box is None and mask is not None:
        box = shapes.segmentation_bounds(mask)
    keypoints = _keypoints(row["keypoints"], seen.keypoint_counts[category]) if row.get("keypoints") else None
    area, rule = _area(row.get("area"), mask_area, box)
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
    image = _field(row, "image_id")
    if isinstance(image, (bool, list, dict)) or image not in seen.sizes:
        return RowRefused("unknown_image", f"image_id {_short(image)}")
    if "category_id" not in row and "caption" in row:
        return RowRefused("captions_ignored", "")
    return RowRefused("unknown_category", f"category_id {_short(_field(row, 'category_id'))}")


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
    seen.like_xyxy += beyond and width > x >= 0 and height > y >= 0 and width <= across + 1 and height <= down + 1
    seen.like_fractions += max(box) <= 1.0


def _mask(value: Any, size: Size) -> tuple[shapes.Segmentation, float]:
    try:
        mask = shapes.normalise_segmentation(value, *size)
    except ValueError as error:
        raise RowRefused("bad_segmentation", str(error)) from None
    return mask, shapes.segmentation_area(mask)


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


def _conclude(seen: Seen, problems: ProblemLog) -> None:
    """What only the whole file shows: signs of another box format, ids shifted by one."""
    if seen.boxes and seen.like_fractions > 0.95 * seen.boxes:
        problems.add("box_looks_like_fraction", count=seen.like_fractions, rejected=False)
        problems.offer("scale_fractions")
    elif seen.boxes and seen.like_xyxy > TELLING_SHARE * seen.boxes:
        problems.add("box_looks_like_xyxy", count=seen.like_xyxy, rejected=False)
        problems.offer("convert_xyxy")
    elif seen.past_the_edge:
        problems.add("box_past_edge", count=seen.past_the_edge, rejected=False)
        problems.offer("clip_boxes")


def id_text(value: Any) -> str:
    """An id verbatim as text; a whole number written as 7.0 is 7. Raises RowRefused."""
    if value.__class__ is int:
        return str(value)
    if isinstance(value, bool) or not isinstance(value, (float, str)):
        raise RowRefused("not_numeric", f"id is {_short(value)}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _name(str(value))


def plain_numbers(values: list[Any]) -> bool:
    """The quick look that nearly every row passes: whole or floating numbers of an ordinary size."""
    return {value.__class__ for value in values} <= NUMBERS and min(values) > -1e300 and max(values) < 1e300


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


def _remember(known: dict[Any, Any], raw: Any, value: Any) -> None:
    """Under the id as the file writes it, and as text, and as number where the text is one: files mix them."""
    text = id_text(raw)
    known[raw] = known[text] = value
    if text.isdecimal() and text == str(int(text)):
        known[int(text)] = value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
