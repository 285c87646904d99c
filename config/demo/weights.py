"""The classifier of the demo, which comes with the repository: `python -m config.demo.weights` trains it anew in half a minute.

A small network of timm's on scikit-learn's handwritten digits, kept as config/demo/weights/digits.pt. Nothing is downloaded. The demo's
detectors are another matter: see config.demo.networks.
"""

import math
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.datasets import load_digits

from config.demo.files import DIGITS

FOLDER = DIGITS.parent
DIGITS_SIDE = 32
DIGITS_ARCHITECTURE = "test_efficientnet"
DIGITS_INPUT = {
    "class_names": [str(digit) for digit in range(10)], "input_size": [3, DIGITS_SIDE, DIGITS_SIDE], "crop_pct": 1.0,
    "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear",
}  # fmt: skip
BATCH = 64
SEED = 0


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


def main() -> None:
    share = train_digits(DIGITS)
    print(f"{DIGITS}: {DIGITS.stat().st_size:,} bytes, {share:.1%} of the held-back digits are read as what they are")


if __name__ == "__main__":
    main()
