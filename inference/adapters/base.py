"""What an adapter is: one framework's way of loading weights and asking them about images. No Django; heavy imports inside methods."""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets.shapes import Box

TOP = 5
# Pixels of an input's side. Weights tell their own size, and one beyond all sense would take a worker's memory.
MOST_SIDE = 8_192
Image = np.ndarray[Any, Any]


class AdapterError(Exception):
    """Weights that cannot be loaded or run: why, and how to mend it."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


def check_size(sides: Collection[float]) -> None:
    """Of what the model reads, pixels. Raises AdapterError for what is no size of any model's input."""
    if not all(1 <= side <= MOST_SIDE for side in sides):
        raise AdapterError(
            f"An input of {' x '.join(f'{side:g}' for side in sides)} pixels is too large, or none.",
            f"Sides have 1 to {MOST_SIDE:,} pixels. Register it with the size that it was trained with.",
        )


@dataclass(frozen=True)
class CheckpointSpec:
    """What is known of the weights before they are loaded; empty where the file itself must tell.

    `trusted`: an administrator vouches for this very file, so that loading may run what it asks for. `deterministic`: the same
    bits each time, at the price of speed: full precision and no choice of algorithms by measuring.
    """

    architecture: str = ""
    task_type: str = ""
    class_names: tuple[str, ...] = ()
    preprocessing: dict[str, Any] = field(default_factory=dict)
    trusted: bool = False
    deterministic: bool = False


@dataclass(frozen=True)
class InferenceSettings:
    """What a job asks for. `confidence` and `iou` (of non-maximum suppression) lie in 0..1."""

    confidence: float = 0.25
    iou: float = 0.7
    max_objects: int = 300


NOTHING_KNOWN = CheckpointSpec()
DEFAULTS = InferenceSettings()


@dataclass(frozen=True)
class DetectedObject:
    """One object. `box` is COCO xywh in pixels of the upright image; `mask` COCO's RLE with text counts, of its [height, width].

    `keypoints` is x, y, confidence for each point, pixels, in the order of the model's skeleton.
    """

    label: str
    label_id: int
    confidence: float
    box: Box
    mask: dict[str, Any] | None = None
    keypoints: list[float] | None = None


@dataclass(frozen=True)
class InferenceResult:
    """What the model said of one image (width and height in pixels, upright), and the ms that each part took.

    A batch's times are shared equally among its images. `top` holds up to five (class name, class id, confidence), best first;
    `probabilities` of all classes in order, for classifiers. `label` is the first choice, or of the surest object; empty where
    nothing was found.
    """

    task_type: str
    width: int
    height: int
    label: str = ""
    label_id: int | None = None
    confidence: float | None = None
    top: tuple[tuple[str, int, float], ...] = ()
    probabilities: tuple[float, ...] = ()
    objects: tuple[DetectedObject, ...] = ()
    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    postprocess_ms: float = 0.0


class Adapter(ABC):
    """One loaded checkpoint. Images are RGB, uint8, [height, width, 3], upright (EXIF applied by whoever decodes).

    `infer_batch` is the whole of it; the engine calls its three parts itself, to overlap them: `preprocess` in threads, `forward`
    from one thread at a time, `postprocess` in that one or, where a GPU is busy meanwhile, another. Class names, task type and preprocessing are complete once
    `load_checkpoint` has returned.
    """

    framework: str
    task_type: str
    class_names: list[str]
    preprocessing: dict[str, Any]
    device: str

    @abstractmethod
    def load_checkpoint(self, path: Path, device: str, spec: CheckpointSpec = NOTHING_KNOWN) -> None:
        """Load the weights to `cpu`, `cuda:0` or `mps`. Raises AdapterError."""

    @abstractmethod
    def preprocess(self, image: Image) -> Any:
        """One image as the model reads it."""

    @abstractmethod
    def forward(self, prepared: Sequence[Any]) -> Any:
        """The model's raw outputs for a batch of what `preprocess` made, complete when it returns (a GPU has been waited for)."""

    @abstractmethod
    def postprocess(
        self, outputs: Any, prepared: Sequence[Any], images: Sequence[Image], settings: InferenceSettings
    ) -> list[InferenceResult]:
        """The answers, in order, without times."""

    def infer_batch(self, images: Sequence[Image], settings: InferenceSettings = DEFAULTS) -> list[InferenceResult]:
        """The answers, in order, with the times of each part."""
        started = time.perf_counter()
        prepared = [self.preprocess(image) for image in images]
        ready = time.perf_counter()
        outputs = self.forward(prepared)
        done = time.perf_counter()
        results = self.postprocess(outputs, prepared, images, settings)
        return timed(results, ready - started, done - ready, time.perf_counter() - done)

    def infer_single(self, image: Image, settings: InferenceSettings = DEFAULTS) -> InferenceResult:
        return self.infer_batch([image], settings)[0]

    def torch_module(self) -> Any:
        """The torch module that `forward` runs, for exports and Grad-CAM. Raises AdapterError where there is none."""
        raise AdapterError(f"The adapter '{self.framework}' has no torch module.", "Use the checkpoint it was exported from.")

    def input_tensor(self, prepared: Sequence[Any]) -> Any:
        """The float tensor [images, 3, height, width] that `torch_module` takes, of prepared images of one shape."""
        raise AdapterError(f"The adapter '{self.framework}' has no torch module.", "Use the checkpoint it was exported from.")

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give memory back; the adapter is not used afterwards."""


def timed(results: Sequence[InferenceResult], before: float, forward: float, after: float) -> list[InferenceResult]:
    """The results with a batch's seconds of each part shared equally, as ms."""
    each = 1000 / max(1, len(results))
    return [
        replace(result, preprocess_ms=before * each, inference_ms=forward * each, postprocess_ms=after * each)
        for result in results
    ]
