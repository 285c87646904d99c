"""Files for the benchmarks, as tools write them: a COCO ground truth and results files of any length.

5,000 images, 37,000 boxes and 80 categories with COCO's gaps in their ids. Each count of predictions is its own file, made
once per folder, row by row, and always the same: `python -m tests.bench.generate FOLDER 475000`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

IMAGES = 5_000
BOXES = 37_000
GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
CATEGORY_IDS = [number for number in range(1, 91) if number not in GAPS]
SIZES = [(640, 480), (640, 427), (480, 640), (500, 375), (612, 612)]
# The share of images without any object, and the chance that a predicted box has a true one behind it.
EMPTY_SHARE, HIT_SHARE = 0.01, 0.35
CHUNK = 50_000
FORM = 1  # Count up when the files change, so that cached ones are made anew.

Floats = npt.NDArray[np.float64]


class Truth:
    """The ground truth as arrays: sizes (images, 2), boxes (BOXES, 4) xywh in pixels, image and category index per box."""

    def __init__(self) -> None:
        rng = np.random.default_rng(2017)
        self.image_ids = np.sort(rng.choice(np.arange(139, 581_930), IMAGES, replace=False))
        self.sizes = np.array(SIZES)[rng.choice(len(SIZES), IMAGES, p=[0.45, 0.25, 0.15, 0.1, 0.05])]
        crowding = rng.gamma(2.0, 1.0, IMAGES) * (rng.random(IMAGES) >= EMPTY_SHARE)
        self.image = np.sort(rng.choice(IMAGES, BOXES, p=crowding / crowding.sum()))
        frequency = 1 / (np.arange(len(CATEGORY_IDS)) + 2)
        self.category = rng.choice(len(CATEGORY_IDS), BOXES, p=frequency / frequency.sum())
        self.boxes = _boxes(rng, self.sizes[self.image])
        self.starts = np.searchsorted(self.image, np.arange(IMAGES + 1))


def _boxes(rng: np.random.Generator, sizes: npt.NDArray[np.int_]) -> Floats:
    """Boxes within images of these sizes (n, 2), many small and few large, as in COCO."""
    share = np.clip(np.exp(rng.normal(-1.7, 0.9, sizes.shape)), 0.01, 0.98)
    sides = share * sizes
    corners = rng.random(sizes.shape) * (sizes - sides)
    return np.concatenate([corners, sides], axis=1)


def ensure_files(folder: Path, predictions: int) -> tuple[Path, Path]:
    """The ground-truth file and a results file with this many rows, made where the folder does not hold them yet."""
    folder.mkdir(parents=True, exist_ok=True)
    truth_path = folder / f"truth-{FORM}.json"
    results_path = folder / f"results-{FORM}-{predictions}.json"
    if not (truth_path.exists() and results_path.exists()):
        truth = Truth()
        _write(truth_path, _truth_lines(truth))
        _write(results_path, _result_lines(truth, predictions))
    return truth_path, results_path


def _write(path: Path, pieces: Iterator[str]) -> None:
    """Whole or not at all: a broken-off run leaves no file that looks finished."""
    if path.exists():
        return
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", encoding="ascii") as file:
        file.writelines(pieces)
    unfinished.rename(path)


def _truth_lines(truth: Truth) -> Iterator[str]:
    images = [
        {"id": int(key), "file_name": f"{key:012}.jpg", "width": int(width), "height": int(height)}
        for key, (width, height) in zip(truth.image_ids, truth.sizes, strict=True)
    ]
    categories = [
        {"id": key, "name": f"class {key:02}", "supercategory": f"group {place % 12}"} for place, key in enumerate(CATEGORY_IDS)
    ]
    yield '{"info": {"description": "generated for benchmarks"}, '
    yield f'"images": {json.dumps(images)}, "categories": {json.dumps(categories)}, "annotations": ['
    boxes = truth.boxes.round(2)
    rows = zip(truth.image_ids[truth.image].tolist(), truth.category.tolist(), boxes.tolist(), strict=True)
    for number, (image_id, category, box) in enumerate(rows, start=1):
        area = round(box[2] * box[3] * 0.62, 4)
        # About one region in a hundred is a crowd, as in COCO.
        crowd = int(number % 101 == 0)
        yield (
            f'{", " if number > 1 else ""}{{"id": {number}, "image_id": {image_id}, "category_id": {CATEGORY_IDS[category]}, '
            f'"bbox": {box}, "area": {area}, "iscrowd": {crowd}}}'
        )
    yield "]}\n"


def _result_lines(truth: Truth, predictions: int) -> Iterator[str]:
    rng = np.random.default_rng(predictions)
    images = np.sort(rng.integers(0, IMAGES, predictions))
    yield "["
    for start in range(0, predictions, CHUNK):
        yield ("" if start == 0 else ", ") + ", ".join(_rows(rng, truth, images[start : start + CHUNK]))
    yield "]\n"


def _rows(rng: np.random.Generator, truth: Truth, images: npt.NDArray[np.int_]) -> Iterator[str]:
    """Rows for these images: hits near a true box, the rest background, with single-precision digits or rounded ones."""
    count = len(images)
    sizes = truth.sizes[images]
    held = truth.starts[images + 1] - truth.starts[images]
    hits = (rng.random(count) < HIT_SHARE) & (held > 0)
    near = (truth.starts[images] + (rng.random(count) * held).astype(int)).clip(max=BOXES - 1)
    jittered = truth.boxes[near] + rng.normal(0, 0.04, (count, 4)) * np.tile(truth.boxes[near, 2:], 2)
    boxes = np.where(hits[:, None], jittered, _boxes(rng, sizes))
    corners = np.clip(boxes[:, :2], 0, sizes - 1)
    sides = np.clip(boxes[:, 2:], 0.5, sizes - corners)
    boxes = np.concatenate([corners, sides], axis=1)
    category = np.where(hits & (rng.random(count) < 0.9), truth.category[near], rng.integers(0, len(CATEGORY_IDS), count))
    scores = np.where(hits, rng.beta(4, 2, count), rng.beta(1, 12, count)).clip(0.001, 0.999)
    # Some tools write what single precision holds, with up to 17 digits; others round. Both kinds stand in every file.
    rounded = (images % 2 == 0)[:, None]
    boxes = np.where(rounded, boxes.round(3), boxes.astype(np.float32).astype(np.float64))
    scores = np.where(rounded[:, 0], scores.round(5), scores.astype(np.float32).astype(np.float64))
    ids = np.array(CATEGORY_IDS)[category].tolist()
    for image_id, category_id, box, score in zip(
        truth.image_ids[images].tolist(), ids, boxes.tolist(), scores.tolist(), strict=True
    ):
        yield f'{{"image_id": {image_id}, "category_id": {category_id}, "bbox": {box}, "score": {score}}}'


if __name__ == "__main__":
    for made in ensure_files(Path(sys.argv[1]), int(sys.argv[2])):
        print(made)
