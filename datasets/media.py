"""Images as pages show them: display copies and thumbnails, upright, made once and kept in the storage."""

import io
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image, ImageOps

from datasets.importers.image_files import FORMATS, ImageRefused
from datasets.models import Sample

log = logging.getLogger("touchstone.media")

THUMB_SIZES = (160, 320, 640)
WEBP_QUALITY = 80
# The longest side of a crop.
CROP_SIZE = 256
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


def crop(sample: Sample, window: tuple[int, int, int, int]) -> Picture:
    """A part of the image, x, y, width and height in the pixels of its annotations, upright. Raises ImageRefused."""
    name = f"crops/{sample.image}-{'-'.join(map(str, window))}.webp"
    return Picture(_made_under(name, lambda: _opened(sample, lambda image: _cropped(image, sample, window))), "image/webp")


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
    return _made_under(_thumb_name(sample, size), lambda: _opened(sample, lambda image: _webp(image, sample, size)))


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


def _opened(sample: Sample, make: Callable[[Image.Image], bytes]) -> bytes:
    """What is made of the stored image. Raises ImageRefused."""
    try:
        with default_storage.open(sample.image) as file, Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > settings.MAX_IMAGE_PIXELS:
                raise ImageRefused("image_too_large", f"{image.width:,} x {image.height:,} pixels")
            return make(image)
    except FileNotFoundError:
        raise ImageRefused("missing_image_file", "the stored file is gone") from None
    except ImageRefused:
        raise
    except Exception as error:
        # Broken files make Pillow's decoders stumble in ways of their own: struct.error, zlib.error, KeyError and more.
        log.warning("sample %s: %s: %s", sample.pk, type(error).__name__, error)
        raise ImageRefused("not_an_image", type(error).__name__) from None


def _webp(image: Image.Image, sample: Sample, size: int) -> bytes:
    # JPEG can be decoded at a fraction of its size, which is most of the work saved.
    image.draft("RGB", (size * 2, size * 2))
    upright = _in_colour(_upright(image, sample))
    upright.thumbnail((size, size))
    return _written(upright)


def _cropped(image: Image.Image, sample: Sample, window: tuple[int, int, int, int]) -> bytes:
    upright = _upright(image, sample)
    # The annotations' frame may be another size than the file.
    across, down = upright.width / (sample.width or upright.width), upright.height / (sample.height or upright.height)
    x, y, width, height = window
    part = upright.crop((round(x * across), round(y * down), round((x + width) * across), round((y + height) * down)))
    part = _in_colour(part)
    part.thumbnail((CROP_SIZE, CROP_SIZE))
    return _written(part)


def _upright(image: Image.Image, sample: Sample) -> Image.Image:
    return ImageOps.exif_transpose(image) if sample.exif_applied else image


def _written(image: Image.Image) -> bytes:
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
