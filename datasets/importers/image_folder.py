"""ImageFolder: a folder of images per class, as torchvision reads it. Pure."""

from collections.abc import Iterator
from pathlib import Path

from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord, Source
from datasets.importers.image_files import ImageRefused, image_paths, inspect_image
from datasets.importers.problems import ImportRefused, ProblemLog

SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}


class ImageFolderImporter:
    """The folder's name is the class, its place in the sorted list the class's id."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        root = split_folder(source.path, source.split)
        folders = sorted(
            folder
            for folder in root.iterdir()
            if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith(".")
        )
        images = {folder: image_paths(folder) for folder in folders}
        if not any(images.values()):
            raise ImportRefused(
                "There are no folders with images.",
                where=root.name,
                remedy="It needs one folder per class with the images in it.",
            )
        total, done = sum(map(len, images.values())), 0
        for number, folder in enumerate(folders):
            yield CategoryRecord(str(number), folder.name)
            for path in images[folder]:
                done += 1
                source.progress(done, total)
                yield from _read_image(path, root, str(number), problems)


def _read_image(path: Path, root: Path, category: str, problems: ProblemLog) -> Iterator[Record]:
    name = str(path.relative_to(root))
    try:
        info = inspect_image(path)
    except ImageRefused as refused:
        problems.add(refused.reason, where=name, detail=refused.detail, kind="samples")
        return
    width, height = (info.height, info.width) if info.orientation >= 5 else (info.width, info.height)
    if info.orientation != 1:
        problems.add("exif_rotated", where=name, detail=f"orientation {info.orientation}", rejected=False)
    yield SampleRecord(name, name, width, height, path, info.image_format, info.orientation)
    yield AnnotationRecord(name, category)


def split_folder(root: Path, split: str | None) -> Path:
    """The folder whose subfolders are the classes: a split's folder where there are such, else the root itself."""
    if not root.is_dir():
        raise ImportRefused("This is not a folder.", where=root.name, remedy="Name the folder with one folder per class.")
    splits = {
        folder.name.lower(): folder for folder in root.iterdir() if folder.is_dir() and folder.name.lower() in SPLIT_NAMES
    }
    if not splits:
        return root
    wanted = (split or "val").lower()
    for name in (wanted, {"val": "valid", "valid": "val"}.get(wanted, wanted), {"val": "validation"}.get(wanted, wanted)):
        if name in splits:
            return splits[name]
    raise ImportRefused(
        f"The folder has no split {wanted!r}.",
        where=f"it has {', '.join(sorted(splits))}",
        remedy="Name one of those as the split.",
    )
