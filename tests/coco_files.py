"""COCO files for tests, written as tools write them."""

import json
from pathlib import Path
from typing import Any

from PIL import Image


def coco(images: int = 2, **changes: Any) -> dict[str, Any]:
    """A small truth: ids with gaps, the second category's id 0, one box per image."""
    found = {
        "images": [{"id": 10 * n, "file_name": f"{n:03}.jpg", "width": 100, "height": 80} for n in range(1, images + 1)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 0, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": 10 * n, "category_id": 7, "bbox": [10, 20, 30.25, 40.125], "area": 600.5, "iscrowd": 0}
            for n in range(1, images + 1)
        ],
    }
    return found | changes


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 10, "category_id": 7, "bbox": [10, 20, 30, 40], "area": 5.0, "iscrowd": 0} | changes


def result(**changes: Any) -> dict[str, Any]:
    return {"image_id": 10, "category_id": 7, "bbox": [1.5, 2.5, 3.5, 4.5], "score": 0.123456789012345} | changes


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def write(path: Path, content: Any) -> Path:
    """JSON, or text and bytes as they are."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def picture(path: Path, size: tuple[int, int] = (100, 80), orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (90, 120, 150))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path
