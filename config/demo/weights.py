"""Weights of the demo: `python -m config.demo.weights [NAME ...]` trains them from nothing and writes them to config/demo/weights/.

`digits`: a small classifier of timm's on scikit-learn's handwritten digits. `tables`, `outlines`, `figures`: a detector, a segmenter
and a pose model of Ultralytics' on pictures drawn here. A few minutes each on two cores; nothing is downloaded.
"""

import argparse
import math
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import timm
import torch
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from config.demo.figures import KEYPOINTS, Figure, draw_figures
from config.demo.files import LABELS, artists
from config.demo.scenes import COLUMNS, ROWS, Picture, draw_picture, segmentation

FOLDER = Path(__file__).parent / "weights"
SIDE = 192  # pixels of the longer side that the detectors see
TRAIN, VAL = range(20_000, 20_240), range(30_000, 30_024)
DIGITS_SIDE = 32
DIGITS_ARCHITECTURE = "test_efficientnet"
DIGITS_INPUT = {
    "class_names": [str(digit) for digit in range(10)], "input_size": [3, DIGITS_SIDE, DIGITS_SIDE], "crop_pct": 1.0,
    "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear",
}  # fmt: skip
BATCH = 64
SEED = 0


# --- A classifier of digits ------------------------------------------------------------------------------------------
def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Handwritten digits and what they are, to learn from and to be tested on: uint8 [images, 32, 32, 3], 0 to 9."""
    found = load_digits()
    pictures = np.stack([_enlarged(picture) for picture in found.images])
    held_back = np.arange(len(pictures)) % 5 == 0
    return (pictures[~held_back], found.target[~held_back]), (pictures[held_back], found.target[held_back])


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """8 x 8 of 0 to 16, as a grey picture."""
    pixels = Image.fromarray((picture * (255 / 16)).astype(np.uint8)).resize(
        (DIGITS_SIDE, DIGITS_SIDE), Image.Resampling.BILINEAR
    )
    return np.asarray(pixels.convert("RGB"))


def train_digits(file: Path, epochs: int = 20) -> float:
    """Writes the state dict with its names and its input beside it. The share of held-back digits that it gets right."""
    torch.manual_seed(SEED)
    (pictures, truth), (test, test_truth) = digits()
    model = timm.create_model(DIGITS_ARCHITECTURE, num_classes=10)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    inputs, targets = _as_inputs(pictures), torch.from_numpy(truth)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * math.ceil(len(inputs) / BATCH))
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(BATCH):
            loss = torch.nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    torch.save({"state_dict": model.half().state_dict(), "arch": DIGITS_ARCHITECTURE, **DIGITS_INPUT}, file)
    with torch.inference_mode():
        said = model.float().eval()(_as_inputs(test)).argmax(1).numpy()
    return float((said == test_truth).mean())


def _as_inputs(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255).sub_(0.5).div_(0.5)


# --- Detectors on drawn pictures -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Recipe:
    """An architecture of Ultralytics, made narrower (depth, width, most channels), and what it learns from."""

    architecture: str
    scale: tuple[float, float, int]
    epochs: int
    draws_figures: bool = False


RECIPES = {
    "tables": Recipe("yolo11n.yaml", (0.5, 0.25, 128), 24),
    "outlines": Recipe("yolo11n-seg.yaml", (0.5, 0.25, 128), 24),
    "figures": Recipe("yolo11n-pose.yaml", (0.5, 0.25, 128), 30, draws_figures=True),
}


def train_detector(name: str, file: Path, pool: Pool) -> dict[str, float]:
    """Writes the checkpoint that Ultralytics thinks best. Its figures on pictures that it has not seen."""
    from inference.adapters import quiet_ultralytics  # noqa: F401 - before the package itself

    from ultralytics import YOLO  # isort: skip

    recipe = RECIPES[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = _write_data(folder, recipe, pool)
        model = YOLO(_write_architecture(folder, recipe))
        model.train(
            data=data, imgsz=SIDE, epochs=recipe.epochs, batch=16, seed=SEED, project=str(folder), name="run", workers=0,
            cache="ram", amp=False, plots=False, optimizer="AdamW", lr0=4e-3, cos_lr=True, close_mosaic=15, degrees=0.0,
            scale=0.3, flipud=0.0, verbose=False, device="cpu", patience=0,
        )  # fmt: skip
        shutil.copy(folder / "run" / "weights" / "best.pt", file)
        metrics = model.trainer.metrics
    return {key: round(float(value), 3) for key, value in metrics.items() if key.startswith("metrics/")}


def _write_architecture(folder: Path, recipe: Recipe) -> Path:
    from ultralytics.nn.tasks import yaml_model_load

    layout = yaml_model_load(recipe.architecture)
    layout |= {"scales": {"n": list(recipe.scale)}, "scale": "n"}
    path = folder / recipe.architecture
    path.write_text(yaml.safe_dump({key: value for key, value in layout.items() if key != "yaml_file"}))
    return path


def _write_data(folder: Path, recipe: Recipe, pool: Pool) -> Path:
    """Pictures and labels as Ultralytics reads them; points are told left from right by their names."""
    for split, seeds in (("train", TRAIN), ("val", VAL)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        pool.map(partial(_write_picture, folder, split, recipe.draws_figures), seeds, chunksize=8)
    names = ["figure"] if recipe.draws_figures else LABELS
    described = {"path": str(folder), "train": "images/train", "val": "images/val", "names": dict(enumerate(names))}
    if recipe.draws_figures:
        mirrored = [name.replace("left", "?").replace("right", "left").replace("?", "right") for name in KEYPOINTS]
        described |= {"kpt_shape": [len(KEYPOINTS), 3], "flip_idx": [KEYPOINTS.index(name) for name in mirrored]}
    (folder / "data.yaml").write_text(yaml.safe_dump(described))
    return folder / "data.yaml"


def _write_picture(folder: Path, split: str, draws_figures: bool, seed: int) -> None:
    picture, figures = draw_figures(seed) if draws_figures else (draw_picture(seed), [])
    size = (SIDE, SIDE * ROWS // COLUMNS)
    Image.fromarray(picture.pixels).resize(size, Image.Resampling.BOX).save(folder / "images" / split / f"{seed}.png")
    lines = [_pose_line(figure) for figure in figures] if draws_figures else list(_outline_lines(picture))
    (folder / "labels" / split / f"{seed}.txt").write_text("\n".join(lines))


def _outline_lines(picture: Picture) -> Iterator[str]:
    """Class and the largest piece of each thing's outline; heaps and what lies in pieces are left out."""
    for thing in picture.things:
        outline = segmentation(thing)
        if not thing.is_crowd and isinstance(outline, list):
            largest = max(outline, key=len)
            yield _line(LABELS.index(thing.name), [value / side for value, side in zip(largest, _sides(largest), strict=True)])


def _sides(points: list[float]) -> list[int]:
    return [COLUMNS, ROWS] * (len(points) // 2)


def _pose_line(figure: Figure) -> str:
    left, top, width, height = figure.thing.box
    box = [(left + width / 2) / COLUMNS, (top + height / 2) / ROWS, width / COLUMNS, height / ROWS]
    points = figure.keypoints / np.array([COLUMNS, ROWS, 1])
    return _line(0, [*box, *points.ravel().tolist()])


def _line(number: int, values: list[float]) -> str:
    return " ".join([str(number), *(f"{value:.5f}" for value in values)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=["digits", *RECIPES, []], help="Default: all.")
    names = parser.parse_args().names or ["digits", *RECIPES]
    FOLDER.mkdir(exist_ok=True)
    with artists() as pool:
        for name in names:
            file = FOLDER / f"{name}.pt"
            told = train_digits(file) if name == "digits" else train_detector(name, file, pool)
            print(f"{file}: {file.stat().st_size:,} bytes, {told}")


if __name__ == "__main__":
    main()
