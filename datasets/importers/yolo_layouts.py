"""Where a YOLO folder keeps its images and names: data.yaml (Ultralytics), obj.data (darknet), or a list of names. Pure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datasets.importers.files import lies_within, own_files
from datasets.importers.foreign import refusal_of
from datasets.importers.image_files import LONGEST_NAME, ImageFinder, image_paths
from datasets.importers.problems import ImportRefused, listed, printable

LARGEST_YAML = 1024 * 1024
NAMES_FILES = ("classes.txt", "obj.names", "classes.names")
SPLIT_KEYS = ("train", "val", "valid", "test")
ALIASES = {"val": "valid", "valid": "val", "validation": "val"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A split's images and what their labels mean: names of classes and (pose) keypoints per object, numbers per keypoint.

    `home` is the folder that nothing read may lie outside of.
    """

    home: Path
    images: list[Path]
    names: dict[int, str]
    keypoints: tuple[int, int] | None = None
    keypoint_names: dict[int, list[str]] = field(default_factory=dict)
    # Where the labels of an image are, if not where its own path says; what lists name and is not there.
    labels: dict[Path, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def read_layout(path: Path, split: str | None, images: Path | None = None) -> Layout:
    """What the folder, data.yaml or obj.data says; darknet's images may lie elsewhere. Raises ImportRefused in words."""
    if path.is_file():
        return _darknet(path, split, images) if path.suffix == ".data" else _ultralytics(path, split)
    if lies_within(path / "obj.data", path):
        return _darknet(path / "obj.data", split, images)
    yamls = own_files(path, {".yaml", ".yml"})
    named = [file for file in yamls if file.stem == "data"]
    for candidates in (named, yamls):
        if len(candidates) == 1:
            return _ultralytics(candidates[0], split)
    if not yamls:
        return _bare(path, split)
    raise ImportRefused(
        f"The folder has {len(yamls)} YAML files and no data.yaml, so the classes' names are unknown.",
        where=listed(file.name for file in yamls),
        remedy="Name the file that is meant, or call it data.yaml.",
    )


def _bare(path: Path, split: str | None) -> Layout:
    """A folder without a data.yaml: the names stand in a file of their own, the images in the split's folder or in all."""
    home = path.resolve()
    named = next((path / name for name in NAMES_FILES if lies_within(path / name, path)), None)
    if named is None and not next(path.rglob("*.txt"), None):
        raise refusal_of(path)
    if named is None:
        raise ImportRefused(
            "The folder has labels but no data.yaml, so the classes' names are unknown.",
            where=path.name,
            remedy="Add a data.yaml with 'names' and the folders of the splits, or a classes.txt with one name per line.",
        )
    names = [printable(name)[:LONGEST_NAME] for name in _lines(named)]
    wanted = split or "val"
    folders = [home / "images" / wanted, home / wanted / "images", home / wanted, home / "images"]
    folder = next((folder for folder in folders if folder.is_dir() and folder.resolve().is_relative_to(home)), home)
    images = image_paths(folder)
    if not images:
        raise ImportRefused("The folder has no images.", where=str(below(folder, home)), remedy="Put them beside the labels.")
    return Layout(home, images, dict(enumerate(names)))


def _ultralytics(file: Path, split: str | None) -> Layout:
    data = _load_yaml(file)
    names = _names(data.get("names"), file)
    home = file.parent.resolve()
    root = _root(home, data.get("path"))
    entry = _split_entry(data, split, file)
    images: set[Path] = set()
    missing: list[str] = []
    for item in entry if isinstance(entry, list) else [entry]:
        place = _place(root, home, item)
        if place is None:
            raise _missing_entry(data, root, home, item, file)
        found, absent = ([*image_paths(place)], []) if place.is_dir() else _listed_images(place, home)
        images |= {path.resolve() for path in found}
        missing += absent
    if not images:
        raise ImportRefused(
            f"There are no images where {file.name} says.",
            where=str(entry)[:200],
            remedy="Check the paths in it; they count from its folder.",
        )
    return Layout(
        home, sorted(images), names, _keypoint_shape(data.get("kpt_shape"), file), _named_keypoints(data), missing=missing
    )


def below(path: Path, home: Path) -> Path:
    return path.relative_to(home) if path.is_relative_to(home) else Path(path.name)


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
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
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
    if not isinstance(value, dict) or not value or not all(str(key).isdecimal() and len(str(key)) < 9 for key in value):
        raise ImportRefused(
            "The YAML file names no classes.", where=f"{file.name}: names", remedy="Add 'names', a list or a mapping."
        )
    return {int(key): printable(str(name))[:LONGEST_NAME] for key, name in value.items()}


def _named_keypoints(data: dict[str, Any]) -> dict[int, list[str]]:
    """Ultralytics' kpt_names: names of the keypoints by class."""
    given = data.get("kpt_names")
    pairs = given.items() if isinstance(given, dict) else enumerate(given if isinstance(given, list) else [])
    return {
        int(key): [printable(str(name))[:LONGEST_NAME] for name in names]
        for key, names in pairs
        if str(key).isdecimal() and isinstance(names, list)
    }


def _root(home: Path, given: Any) -> Path:
    """The folder that paths count from; what leads out of the YAML's own folder does not count, others' machines wrote it."""
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


def _place(root: Path, home: Path, item: Any) -> Path | None:
    """The folder, or the text file that lists images, that an entry means; None where there is none within `home`."""
    if not isinstance(item, str) or "\0" in item:
        raise ImportRefused("An entry of the YAML file is no path.", where=str(item)[:80], remedy="Write folders as text.")
    for base in (root, home):
        # Roboflow writes ../valid/images though the folder lies beside the file.
        for text in (item, item.removeprefix("../")):
            path = (base / text).resolve()
            if path.is_relative_to(home) and (path.is_dir() or (path.suffix == ".txt" and path.is_file())):
                return path
    return None


def _missing_entry(data: dict[str, Any], root: Path, home: Path, item: str, file: Path) -> ImportRefused:
    entries = {key: data[key] for key in SPLIT_KEYS if data.get(key)}
    there = [key for key, entry in entries.items() if isinstance(entry, str) and _place(root, home, entry)]
    others = f"Splits whose images are there: {listed(there)}; name one of them as the split." if there else ""
    return ImportRefused(
        f"The images that {file.name} names are not there.",
        where=item[:120],
        remedy=others or f"Put them into the folder of {file.name}, or a folder below, and write the path from there.",
    )


def _listed_images(list_file: Path, home: Path) -> tuple[list[Path], list[str]]:
    """The images of a list that are there, and the names of those that are not."""
    found, missing = [], []
    for text in _lines(list_file):
        path = _listed_file(text, list_file, home)
        if path:
            found.append(path)
        else:
            missing.append(text[:LONGEST_NAME])
    return found, missing


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


def _darknet(file: Path, split: str | None, images: Path | None) -> Layout:
    """obj.data: key = value lines that name obj.names and lists of images; the labels lie where the lists say."""
    pairs = (line.partition("=") for line in _lines(file))
    data = {key.strip(): value.strip() for key, _, value in pairs}
    home = file.parent.resolve()
    named = _lines(_darknet_file(home, data.get("names", "obj.names")))
    names = {number: printable(name)[:LONGEST_NAME] for number, name in enumerate(named)}
    wanted = {"val": "valid"}.get(split or "val", split)
    keys = sorted(("valid", "train", "test"), key=lambda key: key != wanted)
    lists = [_darknet_file(home, data[key]) for key in keys if data.get(key)]
    if images and images.resolve() != home:
        labels = _labels_by_image(lists, home, ImageFinder(images))
        return Layout(home, sorted(labels), names, labels=labels)
    found, missing = next((read for file in lists if (read := _listed_images(file, home))[0]), ([], []))
    found = found or image_paths(home)
    if not found:
        raise ImportRefused(
            "The folder has no images.",
            where=file.name,
            remedy="Name the folder that they are in (--images), or put them beside the labels.",
        )
    return Layout(home, sorted({path.resolve() for path in found}), names, missing=missing)


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
