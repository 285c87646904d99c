"""ONNX exports of classifiers and detectors, by ONNX Runtime: Ultralytics' exports, ours, and plain ones that are told of.

What an export says of itself stands in its metadata: Ultralytics' `task`, `names`, `imgsz`, `end2end`; ours `touchstone`, as JSON.
"""

import ast
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from inference.adapters import boxes
from inference.adapters.answers import as_plain_json, classified, detected, names_of_classes, softmax
from inference.adapters.base import (
    NOTHING_KNOWN,
    Adapter,
    AdapterError,
    CheckpointSpec,
    Image,
    InferenceResult,
    InferenceSettings,
    check_size,
)
from inference.adapters.pixels import PLAIN, ClassifierInput, plain

TASKS = {"detect": "detection", "classify": "classification"}
MOST_SECONDS = 300.0  # for a batch; on a slow processor large detectors take some
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxAdapter(Adapter):
    framework = "onnx"

    def load_checkpoint(self, path: Path, device: str, spec: CheckpointSpec = NOTHING_KNOWN) -> None:
        self.session = _session(path, device, deterministic=spec.deterministic)
        self.device = "cuda:0" if self.session.get_providers()[0].startswith("CUDA") else "cpu"
        about = _about(self.session.get_modelmeta().custom_metadata_map)
        self.input, self.output = self.session.get_inputs()[0], self.session.get_outputs()[0]
        if self.input.type not in TYPES or len(self.input.shape) != 4:
            raise AdapterError(
                f"The model takes {self.input.type} of shape {self.input.shape}; only images as floating-point "
                "[images, 3, height, width] can be given."
            )
        self.task_type = spec.task_type or about.get("task_type") or _guess(self.output.shape)
        if self.task_type not in TASKS.values():
            raise AdapterError(
                f"An ONNX export for {self.task_type} cannot be run.", "Use the checkpoint it was exported from."
            )
        self._prepare_input(about | spec.preprocessing)
        self.end_to_end = bool(about.get("end_to_end")) or self.output.shape[-1] == 6
        self.is_probability = about.get("outputs") == "probabilities"
        self.class_names = names_of_classes(self._class_count(about), spec.class_names, about.get("names"))

    def _prepare_input(self, told: Mapping[str, Any]) -> None:
        shape = self.input.shape
        size = told.get("imgsz") or told.get("input_size", [])[-2:] or [side for side in shape[2:] if isinstance(side, int)]
        if len(size) != 2:
            raise AdapterError(
                "The export takes images of any size and does not say which.", "Register it with the preprocessing `imgsz`."
            )
        self.size = (int(size[0]), int(size[1]))
        check_size(self.size)
        self.most = shape[0] if isinstance(shape[0], int) else None
        if self.task_type == "detection":
            self.preprocessing = {"imgsz": list(self.size), "resize": "letterbox"}
            return
        config = plain(self.size, int(shape[1]), **{key: told.get(key) for key in PLAIN})
        self.preprocessing = as_plain_json(config)
        self.reader = ClassifierInput(config)

    def _class_count(self, about: Mapping[str, Any]) -> int:
        """As the outputs have them; a head whose rows are final does not tell."""
        shape = self.output.shape
        if self.task_type == "classification":
            return int(shape[-1])
        if self.end_to_end or not isinstance(shape[1], int):
            return len(about.get("names") or ())
        return int(shape[1]) - 4

    # --- The three parts
    def preprocess(self, image: Image) -> Any:
        if self.task_type == "detection":
            return boxes.letterbox(image, self.size)
        return self.reader.pixels(image)

    def as_input(self, prepared: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Float [images, channels, height, width], as the session takes it."""
        pixels = np.stack([getattr(each, "pixels", each) for each in prepared]).transpose(0, 3, 1, 2)
        batch = pixels.astype(np.float32) / np.float32(255)
        if self.task_type == "classification":
            batch = (batch - self.reader.mean) / self.reader.std
        return np.ascontiguousarray(batch, TYPES[self.input.type])

    def forward(self, prepared: Sequence[Any]) -> np.ndarray[Any, Any]:
        """In groups of as many images as the export was made for."""
        batch = self.as_input(prepared)
        return np.concatenate([self._ask(batch[start : start + step]) for start, step in self._steps(len(batch))])

    def _steps(self, count: int) -> list[tuple[int, int]]:
        step = self.most or count
        return [(start, step) for start in range(0, count, step)]

    def _ask(self, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """An export for a fixed number of images is filled up with black ones."""
        missing = (self.most or len(batch)) - len(batch)
        full = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)]) if missing else batch
        answer = self._run(full)
        return np.asarray(answer, np.float32)[: len(batch)]

    def _run(self, batch: np.ndarray[Any, Any]) -> Any:
        """A graph may hold a loop, and so a worker, for ever. Raises AdapterError when its time is over."""
        options = onnxruntime.RunOptions()
        late = threading.Timer(MOST_SECONDS, setattr, (options, "terminate", True))
        late.daemon = True
        late.start()
        try:
            return self.session.run([self.output.name], {self.input.name: batch}, options)[0]
        except Exception:
            if options.terminate:
                raise AdapterError(
                    f"The model has not answered within {MOST_SECONDS:g} seconds, and was stopped.",
                    "Use one that is quicker, or the checkpoint it was exported from.",
                ) from None
            raise
        finally:
            late.cancel()

    def postprocess(
        self, outputs: Any, prepared: Sequence[Any], images: Sequence[Image], settings: InferenceSettings
    ) -> list[InferenceResult]:
        if self.task_type == "classification":
            probabilities = outputs if self.is_probability else softmax(outputs)
            return [classified(row, self.class_names, image) for row, image in zip(probabilities, images, strict=True)]
        return [
            self._detections(torch.from_numpy(raw), box, image, settings)
            for raw, box, image in zip(outputs, prepared, images, strict=True)
        ]

    def _detections(self, raw: Any, box: boxes.Letterbox, image: Image, settings: InferenceSettings) -> InferenceResult:
        if self.end_to_end:
            rows = boxes.choose_final(raw, settings)
        else:
            rows = boxes.choose_boxes(raw, len(self.class_names), settings)
        return detected("detection", boxes.objects(boxes.boxes_to_image(rows, box, image), self.class_names), image)

    def close(self) -> None:
        del self.session


def _session(path: Path, device: str, *, deterministic: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = deterministic
    options.log_severity_level = 3
    on_gpu = device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    providers = ["CUDAExecutionProvider"] * on_gpu + ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # its errors have no common base
        said = str(error).strip().splitlines()[0].replace(str(path), "the file")
        raise AdapterError(f"ONNX Runtime cannot load the weights: {said[:300]}.", "Are they whole, and in one file?") from None


def _about(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the export says of itself. Raises AdapterError where that makes no sense."""
    try:
        if "touchstone" in metadata:
            ours: dict[str, Any] = json.loads(metadata["touchstone"])
            return ours
        if "task" not in metadata:
            return {}
        if metadata["task"] not in TASKS:
            raise AdapterError(
                f"An ONNX export of the task '{metadata['task']}' cannot be run.", f"Those that can: {', '.join(TASKS)}."
            )
        return {
            "task_type": TASKS[metadata["task"]],
            "names": ast.literal_eval(metadata["names"]),
            "imgsz": ast.literal_eval(metadata["imgsz"]),
            "end_to_end": metadata.get("end2end", "").lower() == "true",
            "outputs": "probabilities" if metadata["task"] == "classify" else "boxes",
        }
    except (ValueError, SyntaxError, KeyError) as error:
        raise AdapterError(f"The export's metadata cannot be read ({error}).", "Export it again.") from None


def _guess(shape: Sequence[Any]) -> str:
    """[images, classes] are a classifier's answers, [images, rows, columns] a detector's."""
    return {2: "classification", 3: "detection"}.get(len(shape), f"outputs of shape {list(shape)}")
