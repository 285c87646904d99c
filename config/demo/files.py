"""The demo as files, in the form in which people bring theirs: pictures, COCO truth, COCO results, folders by class.

Pictures are drawn by as many processes as there are cores; each is the same on every machine. Pure: no Django.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from config.demo.detectors import POSE_RUNS, RUNS, Detection, detect_figures, detect_things
from config.demo.figures import KEYPOINTS, SKELETON, Figure, draw_figures
from config.demo.scenes import COLUMNS, ROWS, Thing, draw_picture, draw_portrait, run_lengths, segmentation
from config.demo.things import THINGS, UNLABELLED

LABELS = [name for name in THINGS if name not in UNLABELLED]
CATEGORY_IDS = {name: number for number, name in enumerate(LABELS, start=1)} | {"figure": 1}
GROUPS = dict.fromkeys(["mug", "bowl", "spoon"], "tableware") | dict.fromkeys(["egg", "cookie"], "food")
PORTRAITS = ["apple", "tomato", "plum", "orange", "lemon", "lime", "egg", "cookie"]
PORTRAITS_EACH = 15
# Comes with the repository, see config.demo.weights.
DIGITS = Path(__file__).parent / "weights" / "digits.pt"
MOST_ARTISTS = 8  # each takes a second to get ready, and 100 MB

Draw = Callable[[int], tuple[npt.NDArray[np.uint8], list[dict[str, Any]], dict[str, list[Detection]]]]


@dataclass(slots=True)
class Drawn:
    """One picture's part of the files: its file name, its annotations without ids, and what each run says of it."""

    file_name: str
    annotations: list[dict[str, Any]]
    results: dict[str, list[dict[str, Any]]]


@contextmanager
def artists() -> Iterator[Pool]:
    """A process for each core that is ours. Fresh ones: a fork would share the database connection of whoever calls this.

    Ctrl-C is for that command alone; its end is theirs.
    """
    with get_context("spawn").Pool(
        min(len(os.sched_getaffinity(0)), MOST_ARTISTS), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        yield pool


def write_tables(folder: Path, pool: Pool, split: str, seeds: range, *, with_runs: bool) -> Path:
    """Laid tables with boxes, masks and crowds: `split.json`, the pictures beside it in `images`, results in `runs`."""
    categories = [{"id": CATEGORY_IDS[name], "name": name, "supercategory": GROUPS.get(name, "fruit")} for name in LABELS]
    draw = partial(_draw_table, run_names=tuple(RUNS) if with_runs else ())
    return _write_coco(folder, split, _draw_all(draw, pool, folder, "table", seeds), categories)


def write_figures(folder: Path, pool: Pool, split: str, seeds: range) -> Path:
    """Wooden figures with boxes, masks and keypoints, in the same layout."""
    categories = [{"id": 1, "name": "figure", "supercategory": "figure", "keypoints": KEYPOINTS, "skeleton": SKELETON}]
    return _write_coco(folder, split, _draw_all(_draw_pose, pool, folder, "figures", seeds), categories)


def write_portraits(folder: Path, pool: Pool) -> Path:
    """Single things, one folder for each class."""
    pool.starmap(_draw_portrait, product([folder], PORTRAITS, range(PORTRAITS_EACH)), chunksize=4)
    return folder


def _draw_portrait(folder: Path, name: str, number: int) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    pixels = draw_portrait(1000 * CATEGORY_IDS[name] + number, name)
    Image.fromarray(pixels).save(folder / name / f"{name}-{number:02}.jpg", quality=90)


def _draw_table(
    seed: int, run_names: tuple[str, ...]
) -> tuple[npt.NDArray[np.uint8], list[dict[str, Any]], dict[str, list[Detection]]]:
    picture = draw_picture(seed)
    said = {
        name: detect_things(np.random.default_rng([seed, place]), picture, RUNS[name]) for place, name in enumerate(run_names)
    }
    return picture.pixels, [_annotation(thing) for thing in picture.things], said


def _draw_pose(seed: int) -> tuple[npt.NDArray[np.uint8], list[dict[str, Any]], dict[str, list[Detection]]]:
    picture, figures = draw_figures(seed)
    said = {
        name: detect_figures(np.random.default_rng([seed, place]), figures, skill)
        for place, (name, skill) in enumerate(POSE_RUNS.items())
    }
    return picture.pixels, [_figure_annotation(figure) for figure in figures], said


def _annotation(thing: Thing) -> dict[str, Any]:
    return {
        "category_id": CATEGORY_IDS[thing.name],
        "bbox": list(thing.box),
        "area": thing.area,
        "segmentation": run_lengths(thing) if thing.is_crowd else segmentation(thing),
        "iscrowd": int(thing.is_crowd),
    }


def _figure_annotation(figure: Figure) -> dict[str, Any]:
    seen = int((figure.keypoints[:, 2] > 0).sum())
    return _annotation(figure.thing) | {"keypoints": figure.keypoints.round(1).ravel().tolist(), "num_keypoints": seen}


def _result(detection: Detection) -> dict[str, Any]:
    row: dict[str, Any] = {
        "category_id": CATEGORY_IDS[detection.name],
        "bbox": [round(side, 2) for side in detection.box],
        "score": round(detection.score, 5),
    }
    if detection.mask is not None:
        row["segmentation"] = detection.mask
    if detection.keypoints is not None:
        row["keypoints"] = detection.keypoints
    return row


def _draw_all(draw: Draw, pool: Pool, folder: Path, stem: str, seeds: range) -> list[Drawn]:
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    return pool.map(partial(_draw_one, draw, images, stem), seeds, chunksize=2)


def _draw_one(draw: Draw, images: Path, stem: str, seed: int) -> Drawn:
    pixels, annotations, said = draw(seed)
    file_name = f"{stem}-{seed:04}.jpg"
    Image.fromarray(pixels).save(images / file_name, quality=90)
    return Drawn(file_name, annotations, {name: [_result(one) for one in found] for name, found in said.items()})


def _write_coco(folder: Path, split: str, drawn: list[Drawn], categories: list[dict[str, Any]]) -> Path:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: dict[str, list[dict[str, Any]]] = {}
    for picture in drawn:
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": picture.file_name, "width": COLUMNS, "height": ROWS})
        for annotation in picture.annotations:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
        for name, rows in picture.results.items():
            results.setdefault(name, []).extend({"image_id": image_id, **row} for row in rows)
    path = folder / f"{split}.json"
    info = {"description": "Generated pictures with generated truth: nothing in them is real."}
    path.write_text(json.dumps({"info": info, "images": images, "annotations": annotations, "categories": categories}))
    (folder / "runs").mkdir(exist_ok=True)
    for name, rows in results.items():
        (folder / "runs" / f"{name}.json").write_text(json.dumps(rows))
    return path
