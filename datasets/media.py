"""Images as pages show them: display copies and thumbnails, upright, made once and kept in the storage."""

import io
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image, ImageOps

from datasets.importers.image_files import FORMATS, ImageRefused
from datasets.models import Sample

log = logging.getLogger("touchstone.media")

THUMB_SIZES = (160, 320, 640)
CROP_SIZE = 240
WEBP_QUALITY = 80
# The longest side that WebP can have.
WEBP_SIDE = 16_383
# What browsers show by themselves; anything else (TIFF) is shown as WebP.
CONTENT_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """Bytes and their content type, one of the few that are no document."""

    content: bytes
    content_type: str


def thumb(sample: Sample, size: int) -> Picture:
    """The thumbnail that fits a square of `size` pixels, upright. Raises ImageRefused for a broken image."""
    return Picture(_made_once(sample, size), "image/webp")


def crop(sample: Sample, box: tuple[int, int, int, int]) -> Picture:
    """What is inside the box (xywh, pixels of the upright image), small; made anew each time.

    Raises ImageRefused for a broken image, or a box outside of it.
    """
    return _cut(sample, lambda upright: box)


def _cut(sample: Sample, box_in: Callable[[Image.Image], tuple[int, int, int, int]]) -> Picture:
    """A part of the image; which, may hang on its size."""
    with _opened(sample) as image:
        if image.width * image.height > settings.MAX_IMAGE_PIXELS:
            raise ImageRefused("image_too_large", f"{image.width:,} x {image.height:,} pixels")
        upright = ImageOps.exif_transpose(image) if sample.exif_applied else image
        left, top, width, height = box_in(upright)
        right, bottom = min(left + width, upright.width), min(top + height, upright.height)
        if right <= left or bottom <= top:
            raise ImageRefused("box_outside_image", f"{left}, {top} in {upright.width} x {upright.height}")
        return Picture(_small(upright.crop((left, top, right, bottom)), CROP_SIZE), "image/webp")


def _in_file(box: tuple[int, int, int, int], sample: Sample, image: Image.Image) -> tuple[int, int, int, int]:
    """The box in the pixels of the file, which may be of another size than the annotations' frame."""
    across, down = image.width / (sample.width or image.width), image.height / (sample.height or image.height)
    x, y, width, height = box
    return round(x * across), round(y * down), max(1, round(width * across)), max(1, round(height * down))


def kept_crop(sample: Sample, box: tuple[int, int, int, int]) -> Picture:
    """The crop of a box in the annotations' frame, made once and kept: for boxes that follow from a row, so that they are few."""
    name = f"crops/{sample.image}-{'-'.join(map(str, box))}.webp"
    return Picture(_made_under(name, lambda: _cut(sample, lambda image: _in_file(box, sample, image)).content), "image/webp")


def display(sample: Sample) -> Picture:
    """The stored image as it is, where browsers show its format; else in WebP. Raises ImageRefused."""
    content_type = CONTENT_TYPES.get(sample.image_format)
    if content_type is None:
        return Picture(_made_once(sample, WEBP_SIDE), "image/webp")
    try:
        with default_storage.open(sample.image) as file:
            return Picture(file.read(), content_type)
    except FileNotFoundError:
        raise ImageRefused("missing_image_file", "the stored file is gone") from None


def _made_once(sample: Sample, size: int) -> bytes:
    """The image in WebP."""
    return _made_under(_thumb_name(sample, size), lambda: _scaled(sample, size))


def _made_under(name: str, make: Callable[[], bytes]) -> bytes:
    """From the storage where it was made before."""
    try:
        with default_storage.open(name) as file:
            content = bytes(file.read())
    except FileNotFoundError:
        pass
    else:
        if _is_whole(content):
            return content
        default_storage.delete(name)
    content = make()
    _keep(name, content)
    return content


def _is_whole(webp: bytes) -> bool:
    """Whether the file is as long as its head says: one that another maker still writes, or left half written, is not."""
    return webp[:4] == b"RIFF" and int.from_bytes(webp[4:8], "little") + 8 == len(webp)


def _thumb_name(sample: Sample, size: int) -> str:
    # Named after the stored image, so that a replaced image has thumbnails of its own.
    return f"thumbs/{sample.image}-{size}.webp"


def _keep(name: str, content: bytes) -> None:
    """Two makers at once make the same bytes; the storage keeps the first under this name."""
    if not default_storage.exists(name):
        stored = default_storage.save(name, ContentFile(content))
        if stored != name:
            default_storage.delete(stored)


def _scaled(sample: Sample, size: int) -> bytes:
    with _opened(sample) as image:
        return _webp(image, sample, size)


@contextmanager
def _opened(sample: Sample) -> Iterator[Image.Image]:
    """The stored file, also while it is decoded. Raises ImageRefused."""
    try:
        with default_storage.open(sample.image) as file, Image.open(file, formats=FORMATS) as image:
            yield image
    except FileNotFoundError:
        raise ImageRefused("missing_image_file", "the stored file is gone") from None
    except ImageRefused:
        raise
    except Exception as error:
        # Broken files make Pillow's decoders stumble in ways of their own: struct.error, zlib.error, KeyError and more.
        log.warning("sample %s: %s: %s", sample.pk, type(error).__name__, error)
        raise ImageRefused("not_an_image", type(error).__name__) from None


def _webp(image: Image.Image, sample: Sample, size: int) -> bytes:
    if image.width * image.height > settings.MAX_IMAGE_PIXELS:
        raise ImageRefused("image_too_large", f"{image.width:,} x {image.height:,} pixels")
    # JPEG can be decoded at a fraction of its size, which is most of the work saved.
    image.draft("RGB", (size * 2, size * 2))
    upright = ImageOps.exif_transpose(image) if sample.exif_applied else image
    return _small(upright, size)


def _small(image: Image.Image, size: int) -> bytes:
    image = _in_colour(image)
    image.thumbnail((size, size))
    output = io.BytesIO()
    image.save(output, "WEBP", quality=WEBP_QUALITY, method=2)
    return output.getvalue()


def _in_colour(image: Image.Image) -> Image.Image:
    """With eight bits a channel. Deeper greys, as microscopes write them, are stretched over what they use."""
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        image = _stretched(image.convert("F"))
    if image.mode in ("RGB", "RGBA"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _stretched(grey: Image.Image) -> Image.Image:
    low, high = (float(value) for value in grey.getextrema())  # type: ignore[arg-type]
    if not 0 < high - low < math.inf:
        return grey.convert("L")
    scale = 255 / (high - low)
    return grey.point(lambda value: value * scale - low * scale).convert("L")
