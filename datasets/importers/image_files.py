"""Image files of a source: found by name below one folder, and looked at before they are trusted. Pure."""

import os
import re
import stat
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from datasets.importers.base import MOST_PIXELS, SampleRecord, Source
from datasets.importers.problems import ImportRefused, ProblemLog, printable

# Formats by content, not by name; everything else (SVG, HTML, PDF, ...) is no image here.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
ORIENTATION_TAG = 0x0112
DRIVE = re.compile(r"[A-Za-z]:")
LONGEST_NAME = 1_000
MOST_FILES = 5_000_000


class ImageRefused(Exception):
    """No usable image: a key of REASONS, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Raw width and height (pixels, before the EXIF orientation, 1 to 8), and the format by content."""

    path: Path
    width: int
    height: int
    orientation: int
    image_format: str


def inspect_image(path: Path, most_pixels: int = MOST_PIXELS) -> ImageInfo:
    """Look at the header alone. Raises ImageRefused for what is no image, or has too many pixels."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images and odd EXIF data first; our own bounds decide.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                if width * height > most_pixels:
                    raise ImageRefused("image_too_large", f"{width:,} x {height:,} pixels")
                orientation = _orientation(image)
                image_format = "JPEG" if image.format == "MPO" else str(image.format)
    except Image.DecompressionBombError as error:
        raise ImageRefused("image_too_large", str(error)) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, OverflowError, struct.error) as error:
        raise ImageRefused("not_an_image", type(error).__name__) from None
    return ImageInfo(path, width, height, orientation, image_format)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. PNGs keep theirs before the pixels; Pillow would decode all of them to look behind."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    orientation = image.getexif().get(ORIENTATION_TAG, 1)
    return orientation if orientation in range(1, 9) else 1


def image_sample(path: Path, external_id: str, name: str, source: Source, problems: ProblemLog) -> SampleRecord | None:
    """The sample that an image file is, upright; None, and a rejected sample in the log, where it is none that can be shown."""
    external_id, name = printable(external_id), printable(name)
    try:
        if max(len(external_id), len(name)) > LONGEST_NAME:
            raise ImageRefused("name_too_long", "")
        info = inspect_image(path, source.most_pixels)
    except ImageRefused as refused:
        problems.add(refused.reason, where=name[:LONGEST_NAME], detail=refused.detail, kind="samples")
        return None
    width, height = (info.height, info.width) if info.orientation >= 5 else (info.width, info.height)
    if info.orientation != 1:
        problems.add("exif_rotated", where=name, detail=f"orientation {info.orientation}", rejected=False)
    return SampleRecord(external_id, name, width, height, path, info.image_format, info.orientation)


def add_image_file(record: SampleRecord, finder: "ImageFinder", problems: ProblemLog, row: int | None) -> None:
    """Find and inspect the sample's image file; what is wrong with it is noted, the sample stays, on a blank canvas."""
    try:
        found = finder.find(record.file_name)
    except ImageRefused as refused:
        problems.add(refused.reason, row=row, where=record.file_name, detail=refused.detail, rejected=False)
        if refused.reason == "missing_image_file" and finder.has_stem(record.file_name):
            problems.offer("match_file_stem")
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


def finder_of(source: Source, beside: Path | None = None) -> "ImageFinder | None":
    """What finds the source's images, where it has any; `beside`: the file that names them."""
    if source.images is None:
        return None
    return ImageFinder(source.images, source.most_pixels, source.split, beside, by_stem="match_file_stem" in source.fixes)


class ImageFinder:
    """Finds a source's image files by the names that annotations give. Nothing outside the folder is ever opened."""

    def __init__(
        self,
        folder: Path,
        most_pixels: int = MOST_PIXELS,
        split: str | None = None,
        beside: Path | None = None,
        *,
        by_stem: bool = False,
    ) -> None:
        if not folder.is_dir():
            raise ImportRefused("The folder of the images is not there.", where=str(folder), remedy="Check its path.")
        self.root, self.most_pixels, self.by_stem = folder.resolve(), most_pixels, by_stem
        self._bases = [base for base in self._likely_folders(split, beside) if base.is_dir()]
        self._by_name: dict[str, Path | None] | None = None

    def _likely_folders(self, split: str | None, beside: Path | None) -> Iterator[Path]:
        """Where tools put them: below the folder itself, its `images`, the split's, and beside the annotations."""
        yield self.root
        if split and not {"/", "\\", "\0", ".."} & {split, *split}:
            yield from (self.root / "images" / split, self.root / split / "images", self.root / split)
        yield self.root / "images"
        if beside and beside.resolve().is_relative_to(self.root):
            yield beside.resolve().parent

    def find(self, file_name: str) -> ImageInfo:
        """The image of that name: at that path below the folder, else the only file of that name or stem. Raises ImageRefused."""
        path = self.path(file_name)
        if path is None:
            raise ImageRefused("missing_image_file", "no such file in the folder of the images")
        return inspect_image(path, self.most_pixels)

    def path(self, file_name: str) -> Path | None:
        """Where that file is, or None. Raises ImageRefused for a name that leads out of the folder."""
        name = PurePosixPath(file_name.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or "\0" in file_name or DRIVE.match(file_name):
            raise ImageRefused("unsafe_path", "the name leaves the folder of the images")
        for base in self._bases:
            if found := self._inside(base / name):
                return found
        return self._index().get(name.name) or (self._index().get(name.stem) if self.by_stem else None)

    def has_stem(self, file_name: str) -> bool:
        """Whether a file of that name, but for its suffix, is there."""
        return self._index().get(PurePosixPath(file_name.replace("\\", "/")).stem) is not None

    def _inside(self, path: Path) -> Path | None:
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError):
            return None
        if not resolved.is_relative_to(self.root):
            raise ImageRefused("unsafe_path", "a symbolic link leads out of the folder of the images")
        try:
            return resolved if resolved.is_file() else None
        except OSError:
            return None

    def _index(self) -> dict[str, Path | None]:
        """Files by base name and by stem; None where two files share one. Built once, links are not followed."""
        if self._by_name is None:
            names: dict[str, Path | None] = {}
            stems: dict[str, Path | None] = {}
            for path in image_paths(self.root):
                names[path.name] = None if path.name in names else path
                stems[path.stem] = None if path.stem in stems else path
            self._by_name = stems | names
        return self._by_name


def image_paths(root: Path) -> list[Path]:
    """All image files below the folder, sorted by path; symbolic links and special files are left out."""
    found: list[Path] = []
    for folder, subfolders, files in os.walk(root, followlinks=False):
        subfolders.sort()
        paths = (Path(folder, name) for name in sorted(files))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and stat.S_ISREG(path.lstat().st_mode)]
        if len(found) > MOST_FILES:
            raise ImportRefused(
                f"The folder holds more than {MOST_FILES:,} images.", where=str(root), remedy="Import it in parts."
            )
    return found
