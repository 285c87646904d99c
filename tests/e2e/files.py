"""Small files as people bring them, with known contents: each picture has two true boxes and four predicted ones."""

import json
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

PICTURES, WIDTH, HEIGHT = 6, 320, 240
SCORES = [0.9, 0.6, 0.3, 0.1]
CATEGORIES = [{"id": 3, "name": "red square"}, {"id": 7, "name": "blue square"}]
BOXES = [[20, 30, 80, 60], [180, 100, 90, 90]]
# Image ids have gaps and order of their own, as real ones do.
IMAGE_IDS = [100 * number + 5 for number in range(1, PICTURES + 1)]


def shown_at(confidence: float) -> int:
    """How many predictions of a picture reach this confidence."""
    return sum(score >= confidence for score in SCORES)


def write_truth(folder: Path) -> Path:
    """`annotations.json` beside a folder `images`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for image_id in IMAGE_IDS:
        name = f"picture-{image_id}.jpg"
        draw_picture().save(folder / "images" / name, quality=90)
        images.append({"id": image_id, "file_name": name, "width": WIDTH, "height": HEIGHT})
        annotations += [annotation(len(annotations) + 1 + place, image_id, place) for place in range(len(BOXES))]
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return path


def draw_picture() -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), "#d8d2c4")
    for (x, y, width, height), colour in zip(BOXES, ["#b3362c", "#2c5db3"], strict=True):
        ImageDraw.Draw(picture).rectangle([x, y, x + width, y + height], fill=colour)
    return picture


def annotation(number: int, image_id: int, place: int) -> dict[str, Any]:
    box = BOXES[place]
    category = CATEGORIES[place]["id"]
    return {"id": number, "image_id": image_id, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}


def write_archive(folder: Path) -> Path:
    """All of the truth in one ZIP, with one annotation that is wrong: its image is not there."""
    truth = write_truth(folder / "truth")
    content = json.loads(truth.read_text())
    content["annotations"].append(annotation(999, 424242, 0))
    path = folder / "squares.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.json", json.dumps(content))
        for image in sorted((folder / "truth" / "images").iterdir()):
            archive.write(image, f"images/{image.name}")
    return path


def write_results(folder: Path, shift: float = 4) -> Path:
    """Four predictions for each picture, two of them near a true box."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for image_id in IMAGE_IDS:
        for number, score in enumerate(SCORES):
            x, y, width, height = BOXES[number % 2]
            box = [x + shift * (number + 1), y + shift * number, width, height]
            rows.append({"image_id": image_id, "category_id": CATEGORIES[number % 2]["id"], "bbox": box, "score": score})
    path = folder / "results.json"
    path.write_text(json.dumps(rows))
    return path
