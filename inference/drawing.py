"""Annotated pictures: what a model said, drawn on the image with Pillow. Colours are those of the overlays. Pure but for these."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inference.decoding import Unreadable, decoded
from predictions.overlays import colour_of

QUALITY = 90
SEEN = 0.5  # confidence from which a keypoint is drawn
MASK_OPACITY = 90  # of 255
LONGEST_JPEG = 65_500  # pixels
LONGEST_RATIO = 8
LONGEST_WORDS = 80
INK = (20, 24, 28)
# COCO's person, the skeleton that pose models of 17 points have; pairs of keypoint numbers from 0.
PERSON = [
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10), (1, 2), (0, 1),
    (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
]  # fmt: skip


def skeleton_of(points: int) -> list[tuple[int, int]]:
    """That of people, who need no dataset to be known; other points stand alone."""
    return PERSON if points == len(PERSON) - 2 else []


def annotated(
    content: bytes, objects: Sequence[dict[str, Any]], top: Sequence[Sequence[Any]], *, upright: bool = True
) -> bytes:
    """A JPEG of the upright image with its objects (of poses with their `skeleton`), or a classifier's first choices. Raises Unreadable."""
    picture = Image.fromarray(decoded(content, upright=upright)).convert("RGBA")
    if max(picture.size) > LONGEST_JPEG:
        raise Unreadable(f"A JPEG has no more than {LONGEST_JPEG:,} pixels a side.")
    # On strips, letters as large as their length would have them take more memory than there is.
    unit = max(1.0, min(max(picture.size), LONGEST_RATIO * min(picture.size)) / 640)
    for found in reversed(objects):  # the surest lie on top
        if mask := found.get("segmentation"):
            _draw_mask(picture, mask, colour_of(found["label"]))
    pen = ImageDraw.Draw(picture)
    for found in reversed(objects):
        _draw_object(pen, found, unit)
    if top and not objects:
        _draw_top(pen, top, unit)
    picture.convert("RGB").save(file := io.BytesIO(), "JPEG", quality=QUALITY)
    return file.getvalue()


def _draw_mask(picture: Image.Image, mask: dict[str, Any], colour: str) -> None:
    from pycocotools.mask import decode

    area = Image.fromarray(decode({"size": mask["size"], "counts": mask["counts"].encode()}) * np.uint8(MASK_OPACITY))
    if area.size == picture.size:
        picture.paste(Image.new("RGBA", picture.size, colour), (0, 0), area)


def _draw_object(pen: ImageDraw.ImageDraw, found: dict[str, Any], unit: float) -> None:
    colour = colour_of(found["label"])
    left, top, width, height = found["bbox"]
    right, bottom = left + max(width, 1), top + max(height, 1)
    pen.rectangle((left, top, right, bottom), outline=INK, width=round(3.4 * unit))
    pen.rectangle((left, top, right, bottom), outline=colour, width=round(2 * unit))
    if points := found.get("keypoints"):
        _draw_points(pen, points, found.get("skeleton", ()), colour, unit)
    _write(pen, (left, top), [f"{found['label']} {found['confidence']:.2f}"], colour, unit, above=True)


def _draw_points(
    pen: ImageDraw.ImageDraw, values: Sequence[float], skeleton: Iterable[tuple[int, int]], colour: str, unit: float
) -> None:
    points = list(zip(values[0::3], values[1::3], values[2::3], strict=True))
    for one, other in skeleton:
        if points[one][2] >= SEEN and points[other][2] >= SEEN:
            pen.line((*points[one][:2], *points[other][:2]), fill=colour, width=round(2 * unit))
    for x, y, confidence in points:
        if confidence >= SEEN:
            pen.circle((x, y), 2.5 * unit, fill=colour, outline=INK)


def _draw_top(pen: ImageDraw.ImageDraw, top: Iterable[Sequence[Any]], unit: float) -> None:
    entries = [(str(name), float(value)) for name, value in top]
    _write(pen, (0, 0), [f"{name} {value:.1%}" for name, value in entries], colour_of(entries[0][0]), unit)


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], lines: list[str], colour: str, unit: float, *, above: bool = False
) -> None:
    """On a ground of the colour, within the picture."""
    font = ImageFont.load_default(round(12 * unit))
    text = "\n".join(line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS]}…" for line in lines)
    left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=font)
    across, down = right - left + 6 * unit, bottom - top + 6 * unit
    size = pen.im.size
    x = min(max(0.0, at[0]), max(0.0, size[0] - across))
    y = at[1] - down if above and at[1] >= down else max(0.0, at[1])
    pen.rectangle((x, y, x + across, y + down), fill=colour)
    pen.multiline_text((x + 3 * unit - left, y + 3 * unit - top), text, font=font, fill=INK)


def heat_picture(heat: np.ndarray[Any, Any]) -> bytes:
    """A PNG of the colour of fire, the clearer the hotter (0 to 1); what is cold lets the image through."""
    pixels = np.empty((*heat.shape, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[..., 1] = np.rint(220 * (1 - heat))
    pixels[..., 2] = 0
    pixels[..., 3] = np.rint(185 * heat)
    Image.fromarray(pixels, "RGBA").save(file := io.BytesIO(), "PNG")
    return file.getvalue()
