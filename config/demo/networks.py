"""A detector, a segmenter and a pose model for the demo, trained from nothing on pictures drawn here. Nothing is downloaded.

Made on the machine that shows them, never part of the repository: Ultralytics puts what its package trains under the AGPL. The
networks are narrow ones, of which each begins with what the one before has learned. Imports torch when it begins.
"""

import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from config.demo.figures import KEYPOINTS, Figure, draw_figures
from config.demo.scenes import COLUMNS, ROWS, Picture, draw_spread, segmentation

FRUIT = ["apple", "orange", "lemon", "lime", "plum", "banana", "egg", "cookie", "mug"]
SIDE = 192  # pixels of the longer side that the networks see
NARROW = [0.5, 0.25, 128]  # depth, width, most channels
SEED = 0


@dataclass(frozen=True)
class Recipe:
    """A layout of Ultralytics' and what it learns from: `begins_with` is the name of the network that it goes on from."""

    name: str
    title: str
    layout: str
    task_type: str
    dataset: str
    epochs: int
    begins_with: str = ""
    pictures: int = 256

    @property
    def draws_figures(self) -> bool:
        return self.task_type == "pose"


RECIPES = [
    Recipe("outlines", "Fruit outlines", "yolo11n-seg.yaml", "segmentation", "Breakfast table", 20),
    Recipe("boxes", "Fruit boxes", "yolo11n.yaml", "detection", "Breakfast table", 4, "outlines"),
    Recipe("figures", "Wooden figures", "yolo11n-pose.yaml", "pose", "Wooden figures", 20, "outlines", 160),
]
HELD_BACK = 40


def train(recipe: Recipe, folder: Path, scratch: Path, pool: Pool) -> dict[str, float]:
    """Writes `NAME.pt` into the folder, whole or not at all. Its figures on pictures that it has not seen."""
    from inference.adapters import quiet_ultralytics  # noqa: F401 - before the package itself

    from ultralytics import YOLO  # isort: skip

    data = _write_data(scratch / "drawn" / ("figures" if recipe.draws_figures else "fruit"), recipe, pool)
    model = YOLO(_write_layout(scratch, recipe))
    if recipe.begins_with:
        model.load(folder / f"{recipe.begins_with}.pt")
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # bars that draw themselves
        _train(model, data, recipe, scratch)
    part = folder / f"{recipe.name}.part"
    shutil.copy(model.trainer.last, part)
    part.replace(folder / f"{recipe.name}.pt")
    return {key: round(float(value), 3) for key, value in model.trainer.metrics.items() if key.startswith("metrics/mAP")}


def _train(model: Any, data: Path, recipe: Recipe, scratch: Path) -> None:
    model.train(
        data=data, imgsz=SIDE, epochs=recipe.epochs, batch=16, nbs=16, seed=SEED, project=str(scratch), name=recipe.name, workers=0,
        cache="ram", amp=False, plots=False, val=False, optimizer="AdamW", lr0=4e-3, warmup_epochs=1, cos_lr=True, mosaic=0.0,
        scale=0.3, erasing=0.0, verbose=False, device="cpu",
    )  # fmt: skip


def _write_layout(scratch: Path, recipe: Recipe) -> Path:
    from ultralytics.nn.tasks import yaml_model_load

    layout: dict[str, Any] = yaml_model_load(recipe.layout)
    layout |= {"scales": {"n": NARROW}, "scale": "n"}
    path = scratch / recipe.layout
    path.write_text(yaml.safe_dump({key: value for key, value in layout.items() if key != "yaml_file"}))
    return path


# --- What they learn from --------------------------------------------------------------------------------------------
def _write_data(folder: Path, recipe: Recipe, pool: Pool) -> Path:
    """Pictures and labels as Ultralytics reads them, once for all that learn from them; points are told left from right by name."""
    described = folder / "data.yaml"
    if described.exists():
        return described
    draw = _draw_figures if recipe.draws_figures else _draw_fruit
    for split, seeds in (("train", range(20_000, 20_000 + recipe.pictures)), ("val", range(30_000, 30_000 + HELD_BACK))):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        pool.map(partial(draw, folder, split), seeds, chunksize=8)
    names = ["figure"] if recipe.draws_figures else FRUIT
    content = {"path": str(folder), "train": "images/train", "val": "images/val", "names": dict(enumerate(names))}
    if recipe.draws_figures:
        mirrored = [name.replace("left", "?").replace("right", "left").replace("?", "right") for name in KEYPOINTS]
        content |= {"kpt_shape": [len(KEYPOINTS), 3], "flip_idx": [KEYPOINTS.index(name) for name in mirrored]}
    described.write_text(yaml.safe_dump(content))
    return described


def _draw_fruit(folder: Path, split: str, seed: int) -> None:
    picture = draw_spread(seed, FRUIT, SIDE)
    Image.fromarray(picture.pixels).save(folder / "images" / split / f"{seed}.png")
    (folder / "labels" / split / f"{seed}.txt").write_text("\n".join(_outlines(picture)))


def _outlines(picture: Picture) -> Iterator[str]:
    """Class and the largest piece of each thing's outline; what has holes is left out."""
    for thing in picture.things:
        outline = segmentation(thing)
        if isinstance(outline, list):
            yield _line(FRUIT.index(thing.name), (np.array(max(outline, key=len)) / SIDE).clip(0, 1).tolist())


def _draw_figures(folder: Path, split: str, seed: int) -> None:
    picture, figures = draw_figures(seed)
    size = (SIDE, SIDE * ROWS // COLUMNS)
    Image.fromarray(picture.pixels).resize(size, Image.Resampling.BOX).save(folder / "images" / split / f"{seed}.png")
    (folder / "labels" / split / f"{seed}.txt").write_text("\n".join(map(_joints, figures)))


def _joints(figure: Figure) -> str:
    left, top, width, height = figure.thing.box
    box = [(left + width / 2) / COLUMNS, (top + height / 2) / ROWS, width / COLUMNS, height / ROWS]
    return _line(0, [*box, *(figure.keypoints / np.array([COLUMNS, ROWS, 1])).ravel().tolist()])


def _line(number: int, values: list[float]) -> str:
    return " ".join([str(number), *(f"{value:.5f}" for value in values)])
