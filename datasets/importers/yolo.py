"""YOLO folders: images with a text file of labels each, and a data.yaml (Ultralytics) or obj.data (darknet). Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datasets import shapes
from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord, Source
from datasets.importers.image_files import ImageFinder, ImageRefused, image_paths, inspect_image
from datasets.importers.problems import ImportRefused, ProblemLog, listed

LARGEST_YAML = 1024 * 1024
LARGEST_LABELS = 16 * 1024 * 1024
SPLIT_KEYS = ("train", "val", "valid", "test")
ALIASES = {"val": "valid", "valid": "val", "validation": "val"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a split's images are, what the classes are called, and (pose) keypoints per object and numbers per keypoint."""

    root: Path
    images: list[Path]
    names: dict[int, str]
    keypoints: tuple[int, int] | None = None
    # Where the labels of an image are, if not where its own path says.
    labels: dict[Path, Path] = field(default_factory=dict)


class BadLine(Exception):
    """This line does not fit: a key of REASONS, and what it said."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class YoloImporter:
    """Boxes (5 columns), polygons (class and corners) and poses (box and keypoints), line by line."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        layout = read_layout(source.path, source.split, source.images)
        for number, name in sorted(layout.names.items()):
            yield CategoryRecord(str(number), name, keypoint_names=_keypoint_names(layout))
        ids = _sample_ids(layout)
        for done, path in enumerate(layout.images, start=1):
            source.progress(done, len(layout.images))
            yield from _read_image(path, ids[path], layout, problems)


def _keypoint_names(layout: Layout) -> list[str]:
    return [f"keypoint {number}" for number in range(1, layout.keypoints[0] + 1)] if layout.keypoints else []


def _sample_ids(layout: Layout) -> dict[Path, str]:
    """The stem where that is unique (results name images by it), else the path below the root."""
    stems: dict[str, int] = {}
    for path in layout.images:
        stems[path.stem] = stems.get(path.stem, 0) + 1
    return {
        path: path.stem if stems[path.stem] == 1 else str(_below(path, layout.root).with_suffix("")) for path in layout.images
    }


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else Path(path.name)


def _read_image(path: Path, external_id: str, layout: Layout, problems: ProblemLog) -> Iterator[Record]:
    name = str(_below(path, layout.root))
    try:
        info = inspect_image(path)
    except ImageRefused as refused:
        problems.add(refused.reason, where=name, detail=refused.detail, kind="samples")
        return
    width, height = (info.height, info.width) if info.orientation >= 5 else (info.width, info.height)
    if info.orientation != 1:
        problems.add("exif_rotated", where=name, detail=f"orientation {info.orientation}", rejected=False)
    yield SampleRecord(external_id, name, width, height, path, info.image_format, info.orientation)
    yield from _read_labels(path, external_id, (width, height), layout, problems)


def _read_labels(
    path: Path, external_id: str, size: tuple[int, int], layout: Layout, problems: ProblemLog
) -> Iterator[AnnotationRecord]:
    labels = layout.labels.get(path) or labels_path(path)
    if labels is None or not labels.resolve().is_relative_to(layout.root):
        return
    where = str(_below(labels, layout.root))
    if labels.stat().st_size > LARGEST_LABELS:
        problems.add("bad_line", where=where, detail="the file is larger than 16 MB", kind="annotations")
        return
    text = labels.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield parse_line(line, external_id, size, layout)
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
    if layout.keypoints and len(values) == 5 + layout.keypoints[0] * layout.keypoints[1]:
        box = _box(values[1:5], size)
        keypoints = _keypoints(values[5:], layout.keypoints[1], size)
        return AnnotationRecord(sample, category, box, box[2] * box[3], "box", keypoints=keypoints)
    if len(values) == 5:
        box = _box(values[1:], size)
        return AnnotationRecord(sample, category, box, box[2] * box[3], "box")
    if len(values) >= 7 and len(values) % 2:
        polygon = _polygon(values[1:], size)
        return AnnotationRecord(
            sample, category, shapes.segmentation_bounds([polygon]), shapes.segmentation_area([polygon]), "mask",
            segmentation=[polygon],
        )  # fmt: skip
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
        visible = values[start + 2] if dimensions == 3 else (2.0 if x or y else 0.0)
        found += [x * size[0], y * size[1], visible]
    return found


def _check_fractions(values: list[float]) -> None:
    wrong = [value for value in values if not -0.01 <= value <= 1.01]
    if wrong:
        raise BadLine("out_of_range", f"{wrong[0]} is not a fraction of the image")


def read_layout(path: Path, split: str | None, images: Path | None = None) -> Layout:
    """What the folder, data.yaml or obj.data says; darknet's images may lie elsewhere. Raises ImportRefused in words."""
    if path.is_file() and path.suffix == ".data":
        return _darknet(path, images)
    if path.is_file():
        return _ultralytics(path, split)
    yamls = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if (path / "obj.data").is_file():
        return _darknet(path / "obj.data", images)
    if (path / "data.yaml") in yamls:
        return _ultralytics(path / "data.yaml", split)
    if len(yamls) == 1:
        return _ultralytics(yamls[0], split)
    raise ImportRefused(
        f"The folder has {len(yamls)} YAML files and no data.yaml, so the classes' names are unknown.",
        where=path.name,
        remedy="Add a data.yaml with 'names' and the folders of the splits, or name the file that is meant.",
    )


def _ultralytics(file: Path, split: str | None) -> Layout:
    data = _load_yaml(file)
    names = _names(data.get("names"), file)
    root = _root(file, data.get("path"))
    entry = _split_entry(data, split, file)
    images = sorted(
        {image for item in (entry if isinstance(entry, list) else [entry]) for image in _images(root, file.parent, item)}
    )
    if not images:
        raise ImportRefused(
            f"There are no images where {file.name} says.",
            where=str(entry),
            remedy="Check the paths in it; they count from its folder.",
        )
    return Layout(root, images, names, _keypoint_shape(data.get("kpt_shape"), file))


def _load_yaml(file: Path) -> dict[str, Any]:
    if file.stat().st_size > LARGEST_YAML:
        raise ImportRefused(
            "The YAML file is larger than 1 MB.", where=file.name, remedy="A data.yaml needs names and paths only."
        )
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    try:
        # Aliases let a few bytes stand for gigabytes; a data.yaml has no need of them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ImportRefused("The YAML file uses aliases.", where=file.name, remedy="Write the values out.")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ImportRefused(
            "The YAML file cannot be read.",
            where=f"{file.name}, line {mark.line + 1}" if mark else file.name,
            remedy="Correct it.",
        ) from None
    if not isinstance(data, dict):
        raise ImportRefused("The YAML file holds no names and paths.", where=file.name, remedy="See Ultralytics' data.yaml.")
    return data


def _names(value: Any, file: Path) -> dict[int, str]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not value or not all(str(key).isdecimal() for key in value):
        raise ImportRefused(
            "The YAML file names no classes.", where=f"{file.name}: names", remedy="Add 'names', a list or a mapping."
        )
    return {int(key): str(name)[:1000] for key, name in value.items()}


def _root(file: Path, given: Any) -> Path:
    """The folder that paths count from; what leads out of the YAML's own folder does not count, others' machines wrote it."""
    home = file.parent.resolve()
    if isinstance(given, str) and given:
        root = (home / given).resolve()
        if root.is_relative_to(home) and root.is_dir():
            return root
    return home


def _split_entry(data: dict[str, Any], split: str | None, file: Path) -> Any:
    present = [key for key in SPLIT_KEYS if data.get(key)]
    wanted = split or "val"
    for key in (wanted, ALIASES.get(wanted, wanted)):
        if data.get(key):
            return data[key]
    if len(present) == 1:
        return data[present[0]]
    raise ImportRefused(
        f"{file.name} has no split {wanted!r}.",
        where=f"it has {listed(present) or 'none'}",
        remedy="Name one of those as the split.",
    )


def _images(root: Path, home: Path, item: Any) -> list[Path]:
    """The images of one entry: a folder, or a text file that lists them. Both must lie within the source."""
    if not isinstance(item, str):
        raise ImportRefused("An entry of the YAML file is no path.", where=str(item)[:80], remedy="Write folders as text.")
    home = home.resolve()
    for base in (root, home):
        # Roboflow writes ../valid/images though the folder lies beside the file.
        for text in (item, item.removeprefix("../")):
            path = (base / text).resolve()
            if path.is_relative_to(home) and path.is_dir():
                return [found.resolve() for found in image_paths(path)]
            if path.is_relative_to(home) and path.is_file() and path.suffix == ".txt":
                return _listed_images(path, home)
    raise ImportRefused(
        "A path of the YAML file is not within its folder.",
        where=item[:120],
        remedy="Put the images below the folder of the YAML file.",
    )


def _listed_images(list_file: Path, home: Path) -> list[Path]:
    """The images of a list that are there."""
    found = (_listed_file(text, list_file, home) for text in _lines(list_file))
    return [path for path in found if path]


def _lines(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip() and "\0" not in line]


def _listed_file(text: str, list_file: Path, home: Path) -> Path | None:
    """A path of a list, from the list's folder or the root; darknet's lists begin with data/."""
    for base in (list_file.parent, home):
        for part in (text, text.removeprefix("data/")):
            path = (base / part).resolve()
            if path.is_relative_to(home) and path.is_file():
                return path
    return None


def _keypoint_shape(value: Any, file: Path) -> tuple[int, int] | None:
    if value is None:
        return None
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(type(part) is int for part in value)
        and value[1] in (2, 3)
        and 0 < value[0] < 1000
    ):
        return value[0], value[1]
    raise ImportRefused(
        "kpt_shape is not [keypoints, 2 or 3].", where=file.name, remedy="Write it as Ultralytics does, as [17, 3]."
    )


def _darknet(file: Path, images: Path | None) -> Layout:
    """obj.data: key = value lines that name obj.names and lists of images; the labels lie where the lists say."""
    pairs = (line.partition("=") for line in _lines(file))
    data = {key.strip(): value.strip() for key, _, value in pairs}
    home = file.parent.resolve()
    names = dict(enumerate(_lines(_darknet_file(home, data.get("names", "obj.names")))))
    lists = [_darknet_file(home, data[key]) for key in ("valid", "train", "test") if data.get(key)]
    if images and images.resolve() != home:
        labels = _labels_by_image(lists, home, ImageFinder(images))
        return Layout(home, sorted(labels), names, labels=labels)
    found = next((listed_ for file in lists if (listed_ := _listed_images(file, home))), None) or image_paths(home)
    if not found:
        raise ImportRefused(
            "The folder has no images.",
            where=file.name,
            remedy="Name the folder that they are in (--images), or put them beside the labels.",
        )
    return Layout(home, sorted({path.resolve() for path in found}), names)


def _labels_by_image(lists: list[Path], home: Path, finder: ImageFinder) -> dict[Path, Path]:
    """Labels by the images of another folder, which the lists name."""
    found = {}
    for file in lists:
        for text in _lines(file):
            labels = _listed_file(str(Path(text).with_suffix(".txt")), file, home)
            image = finder.path(Path(text).name)
            if labels and image:
                found[image] = labels
    if not found:
        raise ImportRefused(
            "None of the listed images is there.", where=str(finder.root), remedy="Check the folder of the images."
        )
    return found


def _darknet_file(home: Path, text: str) -> Path:
    for part in (text, text.removeprefix("data/"), Path(text).name):
        path = (home / part).resolve()
        if path.is_relative_to(home) and path.is_file():
            return path
    raise ImportRefused("A file that obj.data names is missing.", where=text[:120], remedy="Put it beside obj.data.")
