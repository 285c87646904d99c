"""Image files of a source: found by name below one folder, and looked at before they are trusted. Pure."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from datasets.importers.problems import ImportRefused

# Formats by content, not by name; everything else (SVG, HTML, PDF, ...) is no image here.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
ORIENTATION_TAG = 0x0112
MOST_PIXELS = 100_000_000
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
            # Pillow warns of large images first; our own bound decides.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                orientation = image.getexif().get(ORIENTATION_TAG, 1)
                image_format = "JPEG" if image.format == "MPO" else str(image.format)
    except Image.DecompressionBombError as error:
        raise ImageRefused("image_too_large", str(error)) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise ImageRefused("not_an_image", type(error).__name__) from None
    if width * height > most_pixels:
        raise ImageRefused("image_too_large", f"{width:,} x {height:,} pixels")
    if orientation not in range(1, 9):
        orientation = 1
    return ImageInfo(path, width, height, orientation, image_format)


class ImageFinder:
    """Finds a source's image files by the names that annotations give. Nothing outside the folder is ever opened."""

    def __init__(self, folder: Path, most_pixels: int = MOST_PIXELS) -> None:
        if not folder.is_dir():
            raise ImportRefused("The folder of the images is not there.", where=str(folder), remedy="Check its path.")
        self.root, self.most_pixels = folder.resolve(), most_pixels
        self._by_name: dict[str, Path | None] | None = None

    def find(self, file_name: str) -> ImageInfo:
        """The image of that name: at that path below the folder, else the only file of that base name. Raises ImageRefused."""
        path = self.path(file_name)
        if path is None:
            raise ImageRefused("missing_image_file", "no such file in the folder of the images")
        return inspect_image(path, self.most_pixels)

    def path(self, file_name: str) -> Path | None:
        """Where that file is, or None. Raises ImageRefused for a name that leads out of the folder."""
        name = PurePosixPath(file_name.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or "\0" in file_name:
            raise ImageRefused("unsafe_path", "the name leaves the folder of the images")
        direct = self._inside(self.root / name)
        if direct:
            return direct
        return self._index().get(name.name)

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
        """Files by base name; None where two files share one. Built once, links are not followed."""
        if self._by_name is None:
            self._by_name = {}
            for path in image_paths(self.root):
                self._by_name[path.name] = None if path.name in self._by_name else path
        return self._by_name


def image_paths(root: Path) -> "list[Path]":
    """All image files below the folder, sorted by path; symbolic links are left out."""
    found = []
    for folder, subfolders, files in os.walk(root, followlinks=False):
        subfolders.sort()
        found += [
            Path(folder, name)
            for name in sorted(files)
            if Path(name).suffix.lower() in SUFFIXES and not Path(folder, name).is_symlink()
        ]
        if len(found) > MOST_FILES:
            raise ImportRefused(
                f"The folder holds more than {MOST_FILES:,} images.", where=str(root), remedy="Import it in parts."
            )
    return found
