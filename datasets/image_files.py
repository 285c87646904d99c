"""The stored image files of a dataset: put there by imports, removed with what they belong to."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage


class StoredFolder:
    """A folder of the storage that is filled by one piece of work, so that it can be removed whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._count = 0

    def put(self, path: Path) -> str:
        """Store the file; returns its storage name. On one file system it is linked, not copied: no second copy on disk."""
        suffix = path.suffix.lower() if path.suffix.isascii() and len(path.suffix) <= 6 else ""
        # Thousands of files a folder are slow on some file systems; a thousand is not.
        name = f"{self.name}/{self._count // 1000:04}/{self._count:07}{suffix}"
        self._count += 1
        if isinstance(default_storage._wrapped, FileSystemStorage):  # type: ignore[attr-defined]
            _link_or_copy(path, Path(default_storage.path(name)))
            return name
        with path.open("rb") as file:
            return default_storage.save(name, File(file))

    def remove(self) -> None:
        remove_folder(self.name)


class ImageFolder(StoredFolder):
    """That of one attempt of one import."""

    def __init__(self, dataset: int, job: int, attempt: int) -> None:
        super().__init__(f"images/{dataset}/{job}-{attempt}")


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source = source.resolve()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def remove_folder(name: str) -> None:
    """Remove everything stored under this name."""
    try:
        folders, files = default_storage.listdir(name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for file in files:
        default_storage.delete(f"{name}/{file}")
    for folder in folders:
        remove_folder(f"{name}/{folder}")
    if isinstance(default_storage._wrapped, FileSystemStorage):  # type: ignore[attr-defined]
        default_storage.delete(name)


def remove_files(names: Iterable[str]) -> None:
    for name in names:
        if name:
            default_storage.delete(name)
