"""Images as adapters read them: RGB, upright. Pillow decodes outside Python's lock, so that threads decode side by side. Pure."""

import io
import math
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from datasets.importers.image_files import FORMATS

MOST_PIXELS = 100_000_000


class Unreadable(Exception):
    """No image that can be decoded; the text says why."""


def decoded(content: bytes, *, upright: bool = True, most_pixels: int = MOST_PIXELS) -> np.ndarray[Any, Any]:
    """uint8, [height, width, 3]; transparency lies on white. `upright`: as the EXIF orientation says. Raises Unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own bounds decide, and odd EXIF data is no reason for noise
            return _pixels(content, upright, most_pixels)
    except Unreadable:
        raise
    except Exception as error:
        # Broken files make Pillow's decoders stumble in ways of their own: struct.error, zlib.error, KeyError and more.
        raise Unreadable(f"The file cannot be decoded ({type(error).__name__}: {error})."[:500]) from None


def _pixels(content: bytes, upright: bool, most_pixels: int) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        if opened.width * opened.height > most_pixels:
            raise Unreadable(f"The image has {opened.width:,} x {opened.height:,} pixels, more than this server takes.")
        opened.load()
        image = ImageOps.exif_transpose(opened) if upright else opened
        return np.asarray(_in_rgb(image))


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deeper greys, as microscopes write them, stretched over what they use: what the pages show is what the model sees."""
    grey = np.asarray(image, dtype=np.float64)
    low, high = float(grey.min()), float(grey.max())
    if not 0 < high - low < math.inf:
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    return Image.fromarray(np.rint((grey - low) * (255 / (high - low))).astype(np.uint8))
