"""Boxes and masks: conversions at the edge, so that nothing else passes bare lists of another format. Pure.

Boxes are COCO xywh (left, top, width, height) in pixels unless a name says otherwise. Masks are COCO polygons (lists of
x, y, x, y, ...) or run-length codes {"size": [height, width], "counts": text}, column by column as COCO counts.
"""

import math
from collections.abc import Sequence
from typing import Any

Box = tuple[float, float, float, float]
Segmentation = list[list[float]] | dict[str, Any]

LARGEST_SIDE = 100_000
# A few bytes of RLE may stand for any number of pixels, which drawing has to unfold.
MOST_MASK_PIXELS = 100_000_000
LONGEST_SIDE_DRAWN = 2_000


def _coco_mask() -> Any:
    """pycocotools' masks. Loaded, with numpy, on first use: a file of boxes alone is often read in less time than that."""
    from pycocotools import mask

    return mask


def xyxy_to_xywh(left: float, top: float, right: float, bottom: float) -> Box:
    return left, top, right - left, bottom - top


def yolo_to_xywh(centre_x: float, centre_y: float, width: float, height: float, image: tuple[int, int]) -> Box:
    """YOLO's centre and size, as fractions of the image (width, height in pixels), to pixels."""
    across, down = image
    return (centre_x - width / 2) * across, (centre_y - height / 2) * down, width * across, height * down


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union; 0 where the union has no area."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def normalise_segmentation(value: Any, width: int | None = None, height: int | None = None) -> Segmentation:
    """Polygons checked, or an RLE with text counts. `width` and `height` are the image's. Raises ValueError in words."""
    if isinstance(value, list):
        if value and all(isinstance(part, (int, float)) for part in value):
            raise ValueError("segmentation is one flat list of numbers; COCO has a list of polygons, each a list")
        return [_checked_polygon(polygon) for polygon in value]
    if isinstance(value, dict):
        return _checked_rle(value, width, height)
    raise ValueError(f"segmentation is a {type(value).__name__}, not a list of polygons or an RLE")


def _checked_polygon(polygon: Any) -> list[float]:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise ValueError("a polygon needs an even count of at least six numbers")
    if not all(_is_number(value) for value in polygon):
        raise ValueError("a polygon holds something that is not a finite number")
    return polygon


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _checked_rle(value: dict[str, Any], width: int | None, height: int | None) -> dict[str, Any]:
    size, counts = value.get("size"), value.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side <= LARGEST_SIDE for side in size)):
        raise ValueError("the RLE's size is not [height, width]")
    if size[0] * size[1] > MOST_MASK_PIXELS:
        raise ValueError(f"the RLE covers more than {MOST_MASK_PIXELS // 10**6} megapixels")
    if width and height and size != [height, width]:
        raise ValueError(f"the RLE's size {size} is not the image's [height, width] {[height, width]}")
    if isinstance(counts, list):
        counts = _compressed(counts, size)
    if not isinstance(counts, str):
        raise ValueError("the RLE's counts are neither text nor a list")
    if decoded_length(counts) != size[0] * size[1]:
        raise ValueError(f"the RLE's runs do not add up to {size[0]} x {size[1]} pixels")
    return {"size": size, "counts": counts}


def _compressed(counts: list[Any], size: list[int]) -> str:
    if not all(type(run) is int and run >= 0 for run in counts) or sum(counts) != size[0] * size[1]:
        raise ValueError(f"the RLE's runs do not add up to {size[0]} x {size[1]} pixels")
    encoded = _coco_mask().frPyObjects({"size": size, "counts": counts}, size[0], size[1])
    return str(encoded["counts"].decode("ascii"))


def decoded_length(counts: str) -> int:
    """Pixels that compressed counts cover: the sum of their runs. Raises ValueError where the text is no such code.

    pycocotools writes past its buffer where the runs exceed the size, so they are added up before it sees them
    (its rleFrString: six bits a character, from 48, the fifth marks continuation; runs from the third on are differences).
    """
    import numpy as np

    if not counts.isascii():
        raise ValueError("the RLE's counts are not a run-length code")
    bits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if bits.size and not (bits.min() >= 0 and bits.max() < 64):
        raise ValueError("the RLE's counts are not a run-length code")
    ends = np.flatnonzero(bits & 0x20 == 0)
    if not ends.size or ends[-1] != bits.size - 1:
        raise ValueError("the RLE's counts end in the middle")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("the RLE's counts are not a run-length code")
    place = np.arange(bits.size) - np.repeat(starts, lengths)
    runs = np.add.reduceat((bits & 0x1F) << (5 * place), starts)
    runs -= (bits[ends] & 0x10 != 0) * (np.int64(1) << (5 * lengths))
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    if runs.min() < 0:
        raise ValueError("the RLE's counts hold a negative run")
    return int(runs.sum())


def segmentation_area(segmentation: Segmentation, width: int | None = None, height: int | None = None) -> float:
    """Area in pixels: of polygons by the shoelace formula, of an RLE by counting."""
    if isinstance(segmentation, dict):
        return float(_coco_mask().area(_as_bytes(segmentation)))
    return float(sum(abs(_shoelace(polygon)) for polygon in segmentation))


def segmentation_bounds(segmentation: Segmentation, width: int | None = None, height: int | None = None) -> Box:
    """The box around the mask."""
    if isinstance(segmentation, dict):
        left, top, across, down = (float(value) for value in _coco_mask().toBbox(_as_bytes(segmentation)))
        return left, top, across, down
    xs = [x for polygon in segmentation for x in polygon[0::2]]
    ys = [y for polygon in segmentation for y in polygon[1::2]]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _as_bytes(rle: dict[str, Any]) -> dict[str, Any]:
    return {"size": rle["size"], "counts": rle["counts"].encode("ascii")}


def _shoelace(polygon: Sequence[float]) -> float:
    xs, ys = polygon[0::2], polygon[1::2]
    following = zip(xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True)  # type: ignore[operator]
    return float(sum(x * next_y - next_x * y for x, y, (next_x, next_y) in zip(xs, ys, following, strict=True))) / 2


def mask_to_path(segmentation: Segmentation) -> str:
    """The mask's outline as SVG path data, in pixels. Numbers are rounded to a tenth: this is for drawing only."""
    if isinstance(segmentation, list):
        return "".join(_closed(zip(polygon[0::2], polygon[1::2], strict=True)) for polygon in segmentation)
    return "".join(_closed(line) for line in _outlines(segmentation))


def _outlines(rle: dict[str, Any]) -> list[Any]:
    """Contours at half height around the set pixels; pixel centres lie at .5, a border of nothing closes the edges."""
    import contourpy
    import numpy as np

    # Only the box around the set pixels is looked at: masks are mostly empty.
    left, top, width, height = (int(value) for value in _coco_mask().toBbox(_as_bytes(rle)))
    step = max(1, math.ceil(max(width, height) / LONGEST_SIDE_DRAWN))
    inside = _coco_mask().decode(_as_bytes(rle))[top : top + height : step, left : left + width : step]
    pixels = np.pad(inside, 1).astype(float)
    lines = contourpy.contour_generator(z=pixels, name="serial", line_type=contourpy.LineType.Separate).lines(0.5)
    origin = np.array([left - step / 2, top - step / 2])
    return [line * step + origin for line in lines]


def _closed(points: Any) -> str:
    return "M" + "L".join(f"{_tenth(x)} {_tenth(y)}" for x, y in points) + "Z"


def _tenth(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"
