"""An adapter that looks at colours: which of red, green and blue an image has most of, and where it is bright.

Its weights are a JSON file: {"task_type": "classification" | "detection", "delay": seconds a batch, "delay_each": seconds an image,
"fails_on", "dies_on": a share of red}.
It is plugged in as anybody's adapter would be, by the entry point of a package that lies on the path (`plugged_in`).
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.adapters.base import (
    NOTHING_KNOWN,
    Adapter,
    AdapterError,
    CheckpointSpec,
    DetectedObject,
    Image,
    InferenceResult,
    InferenceSettings,
)

KEY = "shades"
COLOURS = ["red", "green", "blue"]
BRIGHT = 128
ENTRY_POINTS = f"[touchstone.adapters]\n{KEY} = tests.fakes.shades:ShadesAdapter\n"
loads: list[str] = []  # of this process


def plugged_in(folder: Path) -> Path:
    """A folder for the path of Python, in which an installed package says where the adapter is."""
    about = folder / "shades-1.0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shades\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


class ShadesAdapter(Adapter):
    framework = KEY

    def load_checkpoint(self, path: Path, device: str, spec: CheckpointSpec = NOTHING_KNOWN) -> None:
        try:
            self.weights: dict[str, Any] = json.loads(path.read_text())
        except ValueError:
            raise AdapterError("These are no weights of shades.", "Write a JSON object.") from None
        self.task_type = self.weights.get("task_type", "classification")
        self.class_names = COLOURS
        self.preprocessing = {"scale": 255}
        self.device = device
        self.is_closed = False
        self.batches: list[int] = []
        loads.append(path.name)

    def preprocess(self, image: Image) -> Any:
        return image[::4, ::4].astype(np.float32) / 255

    def forward(self, prepared: Sequence[Any]) -> Any:
        self.batches.append(len(prepared))
        time.sleep(self.weights.get("delay", 0) + self.weights.get("delay_each", 0) * len(prepared))
        means = np.stack([image.mean(axis=(0, 1)) for image in prepared])
        if self.weights.get("dies_on") and (np.abs(means[:, 0] - self.weights["dies_on"]) < 0.01).any():
            os._exit(9)
        if self.weights.get("fails_on") and (np.abs(means[:, 0] - self.weights["fails_on"]) < 0.01).any():
            raise RuntimeError("out of red")
        return means

    def postprocess(
        self, outputs: Any, prepared: Sequence[Any], images: Sequence[Image], settings: InferenceSettings
    ) -> list[InferenceResult]:
        told = self._classified if self.task_type == "classification" else self._detected
        return [told(means, image, settings) for means, image in zip(outputs, images, strict=True)]

    def _classified(self, means: Any, image: Image, settings: InferenceSettings) -> InferenceResult:
        shares = means / max(means.sum(), 1e-6)
        order = [int(n) for n in np.argsort(-shares)]
        top = tuple((COLOURS[n], n, float(shares[n])) for n in order)
        height, width = image.shape[:2]
        return InferenceResult(
            "classification", width, height, *top[0], top=top, probabilities=tuple(float(share) for share in shares)
        )

    def _detected(self, means: Any, image: Image, settings: InferenceSettings) -> InferenceResult:
        """The box around what is bright in each colour; as sure as it is bright there."""
        height, width = image.shape[:2]
        found = []
        for n, name in enumerate(COLOURS):
            rows, columns = np.nonzero(image[:, :, n] >= BRIGHT)
            if not len(rows):
                continue
            left, top = float(columns.min()), float(rows.min())
            box = (left, top, float(columns.max()) + 1 - left, float(rows.max()) + 1 - top)
            confidence = float(image[rows, columns, n].mean()) / 255
            if confidence >= settings.confidence:
                found.append(DetectedObject(name, n, confidence, box))
        found.sort(key=lambda each: -each.confidence)
        best = (found[0].label, found[0].label_id, found[0].confidence) if found else ("", None, None)
        return InferenceResult("detection", width, height, *best, objects=tuple(found[: settings.max_objects]))

    def close(self) -> None:
        self.is_closed = True
