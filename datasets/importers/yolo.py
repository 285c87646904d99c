"""YOLO folders: images with a text file of labels each. Pure."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from datasets import shapes
from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord, Source
from datasets.importers.image_files import image_sample
from datasets.importers.problems import ImportRefused, ProblemLog, listed, printable
from datasets.importers.yolo_layouts import Layout, below, read_layout

LARGEST_LABELS = 16 * 1024 * 1024


class BadLine(Exception):
    """This line does not fit: a key of REASONS, and what it said."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class YoloImporter:
    """Boxes (5 columns), polygons (class and corners) and poses (box and keypoints), line by line."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        layout = read_layout(source.path, source.split, source.images)
        for name in layout.missing:
            problems.add("missing_image_file", where=printable(name), kind="samples")
        for number, name in sorted(layout.names.items()):
            yield CategoryRecord(str(number), name, keypoint_names=_keypoint_names(layout, number))
        ids, labelled = _sample_ids(layout), 0
        for done, path in enumerate(layout.images, start=1):
            source.progress(done, len(layout.images))
            sample = image_sample(path, ids[path], str(below(path, layout.home)), source, problems)
            labels = _labels_of(path, layout, problems)
            labelled += labels is not None
            if sample:
                yield sample
            if sample and labels:
                yield from _read_labels(labels, sample, layout, problems)
        if not labelled:
            raise ImportRefused(
                "None of the images has a file of labels.",
                where=str(below(layout.images[0], layout.home)),
                remedy="Labels lie beside their image or, for images/a.jpg, in labels/a.txt; an image without objects needs none.",
            )


def _keypoint_names(layout: Layout, category: int) -> list[str]:
    if not layout.keypoints:
        return []
    given, count = layout.keypoint_names.get(category, []), layout.keypoints[0]
    return given if len(given) == count else [f"keypoint {number}" for number in range(1, count + 1)]


def _sample_ids(layout: Layout) -> dict[Path, str]:
    """The stem where that is unique (results name images by it), else the path below the root, with its suffix if need be."""
    stems = Counter(path.stem for path in layout.images)
    places = {path: below(path, layout.home) for path in layout.images}
    bare = Counter(place.with_suffix("") for place in places.values())
    return {
        path: path.stem if stems[path.stem] == 1 else str(place.with_suffix("") if bare[place.with_suffix("")] == 1 else place)
        for path, place in places.items()
    }


def _labels_of(image: Path, layout: Layout, problems: ProblemLog) -> Path | None:
    """The file of labels of an image, where there is one that can be read."""
    labels = layout.labels.get(image) or labels_path(image)
    if labels is None:
        return None
    where = printable(str(below(labels, layout.home)))
    if not labels.resolve().is_relative_to(layout.home):
        problems.add("unsafe_path", where=where, detail="a symbolic link leads out of the folder", rejected=False)
        return None
    if labels.stat().st_size > LARGEST_LABELS:
        problems.add("bad_line", where=where, detail="the file is larger than 16 MB", kind="annotations")
        return None
    return labels


def _read_labels(labels: Path, sample: SampleRecord, layout: Layout, problems: ProblemLog) -> Iterator[AnnotationRecord]:
    where = printable(str(below(labels, layout.home)))
    size = (sample.width or 0, sample.height or 0)
    text = labels.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield parse_line(line, sample.external_id, size, layout)
        except BadLine as bad:
            problems.add(bad.reason, row=number, where=where, detail=bad.detail, kind="annotations")


def labels_path(image: Path) -> Path | None:
    """The labels of an image: the last folder called images replaced by labels, or beside the image."""
    parts = list(image.parts)
    if "images" in parts:
        position = len(parts) - 1 - parts[::-1].index("images")
        parts[position] = "labels"
    for candidate in (Path(*parts).with_suffix(".txt"), image.with_suffix(".txt")):
        if candidate.is_file():
            return candidate
    return None


def parse_line(line: str, sample: str, size: tuple[int, int], layout: Layout) -> AnnotationRecord:
    """One line of labels; values are fractions of the image (width, height in pixels). Raises BadLine."""
    words = line.split()
    values = [_number(word) for word in words]
    number = values[0]
    if not number.is_integer() or int(number) not in layout.names:
        raise BadLine("class_out_of_range", f"class {words[0]}; there are {listed(layout.names.values())}")
    category = str(int(number))
    if len(values) == 5:
        box = _box(values[1:], size)
        return AnnotationRecord(sample, category, box, box[2] * box[3], "box")
    if layout.keypoints:
        if len(values) != 5 + layout.keypoints[0] * layout.keypoints[1]:
            raise BadLine(
                "bad_line", f"{len(values)} columns; kpt_shape asks for {5 + layout.keypoints[0] * layout.keypoints[1]}"
            )
        box = _box(values[1:5], size)
        keypoints = _keypoints(values[5:], layout.keypoints[1], size)
        return AnnotationRecord(sample, category, box, box[2] * box[3], "box", keypoints=keypoints)
    if len(values) >= 7 and len(values) % 2:
        polygon = _polygon(values[1:], size)
        box = shapes.segmentation_bounds([polygon])
        if box[2] <= 0 or box[3] <= 0:
            raise BadLine("box_degenerate", "the polygon has no width or no height")
        return AnnotationRecord(sample, category, box, shapes.segmentation_area([polygon]), "mask", segmentation=[polygon])
    if len(values) == 6:
        raise BadLine("bad_line", "6 columns: a confidence makes it a prediction; a box has 5")
    raise BadLine("bad_line", f"{len(values)} columns; a box has 5, a polygon an odd count from 7")


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise BadLine("not_numeric", f"{word[:40]!r} is not a number") from None
    if not math.isfinite(value):
        raise BadLine("not_a_number", f"{word[:40]!r}")
    return value


def _box(values: list[float], size: tuple[int, int]) -> shapes.Box:
    _check_fractions(values)
    if values[2] <= 0 or values[3] <= 0:
        raise BadLine("box_degenerate", f"width {values[2]}, height {values[3]}")
    return shapes.yolo_to_xywh(values[0], values[1], values[2], values[3], size)


def _polygon(values: list[float], size: tuple[int, int]) -> list[float]:
    _check_fractions(values)
    return [value * size[index % 2] for index, value in enumerate(values)]


def _keypoints(values: list[float], dimensions: int, size: tuple[int, int]) -> list[float]:
    """x, y, visibility; files with two numbers a keypoint mark what is not labelled by 0, 0."""
    found: list[float] = []
    for start in range(0, len(values), dimensions):
        x, y = values[start : start + 2]
        _check_fractions([x, y])
        visible = values[start + 2] if dimensions == 3 else (2.0 if x or y else 0.0)
        found += [x * size[0], y * size[1], visible]
    return found


def _check_fractions(values: list[float]) -> None:
    wrong = [value for value in values if not -0.01 <= value <= 1.01]
    if wrong:
        raise BadLine("out_of_range", f"{wrong[0]} is not a fraction of the image")
