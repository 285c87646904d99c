"""Files of a source folder, found without leaving it: a symbolic link that leads out is not there. Pure."""

from collections.abc import Collection
from pathlib import Path

from datasets.importers.guarded_text import CHUNK, UTF8_MARK

COCO_KEYS = (b'"images"', b'"annotations"')


def lies_within(path: Path, folder: Path) -> bool:
    """Whether the path is a plain file below the folder, links followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def own_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files right in the folder with one of these suffixes, sorted."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in suffixes and lies_within(file, folder))


def annotation_files(folder: Path) -> list[Path]:
    """The JSON files below the folder that begin like COCO annotations, nearest first."""
    found = (file for file in folder.rglob("*.json") if lies_within(file, folder) and _may_be_coco(file))
    return sorted(found, key=lambda file: (len(file.parts), str(file)))


def _may_be_coco(file: Path) -> bool:
    head = head_of(file)
    return head.lstrip()[:1] == b"{" and any(key in head for key in COCO_KEYS)


def first_mark(file: Path) -> bytes:
    """The first character that is no blank: what kind of JSON value the file holds."""
    return head_of(file).lstrip()[:1]


def head_of(file: Path) -> bytes:
    """The first 64 kB."""
    with file.open("rb") as opened:
        return opened.read(CHUNK).removeprefix(UTF8_MARK)
