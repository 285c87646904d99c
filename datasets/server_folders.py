"""Looking around in the folders that this server may import from, to choose a source."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from datasets.importers.problems import ImportRefused
from datasets.sources import server_path

MOST_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    path: str
    is_folder: bool
    size: int | None = None  # bytes of a file


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder's entries, folders first. `path` and `parent` are None where the roots themselves are listed."""

    path: str | None
    parent: str | None
    entries: list[Entry]
    left_out: int = 0


def list_folder(text: str = "") -> Listing:
    """The folder that the text names; without one, the roots. Raises ImportRefused for what may not or cannot be read."""
    roots = [Path(root) for root in settings.IMPORT_ROOTS]
    if not text:
        return Listing(None, None, [Entry(str(root), str(root), True) for root in roots])
    path = server_path(text)
    folder = path if path.is_dir() else path.parent
    try:
        entries = sorted(_entries(folder, roots), key=lambda entry: (not entry.is_folder, entry.name.casefold()))
    except OSError as error:
        raise ImportRefused(
            f"The folder cannot be read ({error.strerror}).", where=str(folder), remedy="Let the server's user read it."
        ) from None
    parent = "" if folder in roots else str(folder.parent)
    return Listing(str(folder), parent, entries[:MOST_SHOWN], max(0, len(entries) - MOST_SHOWN))


def _entries(folder: Path, roots: list[Path]) -> Iterator[Entry]:
    """Files and folders within the roots; hidden ones, and links that lead out, are not shown."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(".") or (entry.is_symlink() and not _leads_inside(entry, roots)):
                continue
            if entry.is_dir():
                yield Entry(entry.name, entry.path, True)
            elif entry.is_file():
                yield Entry(entry.name, entry.path, False, entry.stat().st_size)


def _leads_inside(entry: os.DirEntry[str], roots: list[Path]) -> bool:
    try:
        target = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return any(target.is_relative_to(root) for root in roots)
