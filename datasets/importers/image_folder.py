"""ImageFolder: a folder of images per class, as torchvision reads it. Pure."""

from collections.abc import Iterator
from pathlib import Path

from datasets.importers import SPLIT_NAMES
from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, Source
from datasets.importers.image_files import SUFFIXES, image_paths, image_sample
from datasets.importers.problems import ImportRefused, ProblemLog, printable

ALIASES = {"val": ("val", "valid", "validation"), "train": ("train", "training"), "test": ("test", "testing")}


class ImageFolderImporter:
    """The folder's name is the class, its place in the sorted list of all splits' classes the class's id."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        if not source.path.is_dir():
            raise ImportRefused(
                "This is not a folder.", where=source.path.name, remedy="Name the folder with one folder per class."
            )
        splits = _split_folders(source.path)
        root = _chosen(splits, source)
        images = {folder.name: image_paths(folder) for folder in _subfolders(root)}
        if not any(images.values()):
            raise ImportRefused(
                "There are no folders with images.",
                where=root.name,
                remedy="It needs one folder per class with the images in it.",
            )
        names = {folder.name for split in splits.values() for folder in _subfolders(split)} | set(images)
        total, done = sum(map(len, images.values())), 0
        for number, name in enumerate(sorted(names)):
            yield CategoryRecord(str(number), printable(name))
            for path in images.get(name, ()):
                done += 1
                source.progress(done, total)
                yield from _read_image(path, root, str(number), source, problems)
        _note_strays(root, problems)


def _read_image(path: Path, root: Path, category: str, source: Source, problems: ProblemLog) -> Iterator[Record]:
    name = str(path.relative_to(root))
    sample = image_sample(path, name, name, source, problems)
    if sample:
        yield sample
        yield AnnotationRecord(sample.external_id, category)


def _note_strays(root: Path, problems: ProblemLog) -> None:
    for path in sorted(root.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            problems.add("no_class", where=printable(path.name), kind="samples")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )


def _split_folders(root: Path) -> dict[str, Path]:
    return {folder.name.lower(): folder for folder in _subfolders(root) if folder.name.lower() in SPLIT_NAMES}


def _chosen(splits: dict[str, Path], source: Source) -> Path:
    """The folder whose subfolders are the classes: the split's where there are such, else the source itself."""
    if not splits:
        return source.path
    wanted = (source.split or "val").lower()
    alike = next((names for names in ALIASES.values() if wanted in names), (wanted,))
    for name in (wanted, *alike):
        if name in splits:
            return splits[name]
    raise ImportRefused(
        f"The folder has no split {wanted!r}.",
        where=f"it has {', '.join(sorted(splits))}",
        remedy="Name one of those as the split.",
    )
