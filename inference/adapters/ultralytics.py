"""Ultralytics' own checkpoints: detect, segment, pose and classify, with the results of the package's `predict`.

As `predict` on each image alone (rectangular letterbox, `retina_masks=True`), whatever else is in the batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
import torch
from PIL import Image as Pictures
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from inference.adapters import (
    boxes,
    quiet_ultralytics,  # noqa: F401 - before the package itself
)
from inference.adapters.answers import as_plain_json, classified, detected, names_of_classes
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
from inference.adapters.pixels import middle, plain

from ultralytics.data.augment import classify_transforms  # isort: skip - after quiet_ultralytics
from ultralytics.nn.tasks import guess_model_task, torch_safe_load  # isort: skip
from ultralytics.utils.ops import process_mask_native  # isort: skip

TASKS = {"detect": "detection", "segment": "segmentation", "pose": "pose", "classify": "classification"}
SMALLEST_STRIDE = 32
# Masks are made for as many objects at a time as fit into this many pixels.
MASK_PIXELS = 64_000_000


@dataclass(frozen=True)
class Outputs:
    """Of one image: the head's raw output, and of a segmenter the prototypes that masks are mixed from."""

    raw: torch.Tensor
    prototypes: torch.Tensor | None = None


class UltralyticsAdapter(Adapter):
    framework = "ultralytics"
    model: Any

    def load_checkpoint(self, path: Path, device: str, spec: CheckpointSpec = NOTHING_KNOWN) -> None:
        model = _read_model(path, trusted=spec.trusted)
        task = getattr(model, "task", None) or guess_model_task(model)
        if task not in TASKS:
            raise AdapterError(
                f"The task '{task}' of this checkpoint cannot be run.", f"Those that can: {', '.join(sorted(TASKS))}."
            )
        self.task_type, self.device = TASKS[task], device
        self.half = device.startswith("cuda") and not spec.deterministic
        # As the package lays it out for x86 processors; elsewhere it is no slower.
        layout = torch.contiguous_format if device == "mps" else torch.channels_last
        self.model = model.eval().fuse(verbose=False).requires_grad_(False).to(device=device, memory_format=layout)
        self.model = self.model.half() if self.half else self.model.float()
        self.end_to_end = bool(getattr(model, "end2end", False))
        self.architecture = Path(str(model.yaml.get("yaml_file", ""))).stem
        self.class_names = names_of_classes(len(model.names), spec.class_names, model.names)
        self.point_shape = tuple(getattr(model, "kpt_shape", ()))
        self._prepare_input(spec.preprocessing)

    def _prepare_input(self, told: dict[str, Any]) -> None:
        self.stride = max(int(self.model.stride.max()), SMALLEST_STRIDE)
        wanted = told.get("imgsz") or self.model.args.get("imgsz") or 640
        sides = [wanted] * 2 if isinstance(wanted, int) else list(wanted)
        self.size = tuple(math.ceil(int(side) / self.stride) * self.stride for side in sides)
        check_size(self.size)
        self.preprocessing = {"imgsz": list(self.size), "stride": self.stride, "resize": "letterbox"}
        if self.task_type == "classification":
            self._prepare_classification()

    def _prepare_classification(self) -> None:
        saved = getattr(self.model, "transforms", None)
        saved_size = getattr(saved.transforms[0], "size", self.size) if saved is not None else None
        saved_size = (saved_size, saved_size) if isinstance(saved_size, int) else saved_size
        transform = saved if saved_size is not None and tuple(saved_size) == self.size else classify_transforms(self.size)
        steps = getattr(transform, "transforms", ())
        if tuple(map(type, steps)) != (Resize, CenterCrop, ToTensor, Normalize):
            raise AdapterError(
                f"The checkpoint was saved with a preprocessing of its own ({transform}), which is not run.",
                "Save it with the transforms that Ultralytics uses itself.",
            )
        self.transform, self.normalize = Compose(steps[:2]), steps[3]
        mean, std = (torch.as_tensor(value).tolist() for value in (self.normalize.mean, self.normalize.std))
        self.preprocessing = as_plain_json(plain(self.size, mean=mean, std=std, interpolation=steps[0].interpolation.value))

    # --- The three parts
    def preprocess(self, image: Image) -> Any:
        if self.task_type == "classification":
            return np.asarray(self.transform(Pictures.fromarray(middle(image))))
        return boxes.letterbox(image, self.size, self.stride)

    def input_tensor(self, prepared: Sequence[Any]) -> torch.Tensor:
        if self.task_type == "classification":
            pixels = torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2)
        else:
            pixels = boxes.as_batch(list(prepared))
        batch = pixels.to(self.device).contiguous()
        batch = (batch.half() if self.half else batch.float()).div_(255)
        return self.normalize(batch) if self.task_type == "classification" else batch

    @torch.inference_mode()
    def forward(self, prepared: Sequence[Any]) -> list[Outputs]:
        """In the order of the images; those of one shape go through the model together."""
        outputs: list[Outputs | None] = [None] * len(prepared)
        for positions in _by_shape(prepared):
            answered = self._ask(self.input_tensor([prepared[position] for position in positions]))
            for position, output in zip(positions, answered, strict=True):
                outputs[position] = output
        return [output for output in outputs if output is not None]

    def _ask(self, batch: torch.Tensor) -> list[Outputs]:
        answer = self.model(batch)
        if self.task_type == "classification":
            return [Outputs(row) for row in _first(answer).cpu()]
        if self.task_type != "segmentation":
            return [Outputs(raw) for raw in _first(answer).cpu()]
        raw, prototypes = answer[0] if isinstance(answer[0], tuple) else (answer[0], answer[1])
        return [Outputs(*parts) for parts in zip(raw.cpu(), _first(prototypes).cpu(), strict=True)]

    @torch.inference_mode()
    def postprocess(
        self, outputs: Any, prepared: Sequence[Any], images: Sequence[Image], settings: InferenceSettings
    ) -> list[InferenceResult]:
        return [
            self._answer(output, ready, image, settings) for output, ready, image in zip(outputs, prepared, images, strict=True)
        ]

    def _answer(self, output: Outputs, ready: Any, image: Image, settings: InferenceSettings) -> InferenceResult:
        if self.task_type == "classification":
            return classified(output.raw.float().numpy(), self.class_names, image)
        rows = self._chosen(output.raw, settings)
        rows = boxes.boxes_to_image(rows, ready, image)
        found = boxes.objects(rows, self.class_names)
        if self.task_type == "segmentation" and found:
            masks = _masks(output.prototypes, rows, image)
            found = [replace(one, mask=mask) for one, mask in zip(found, masks, strict=True) if mask is not None]
        if self.task_type == "pose":
            points = boxes.to_image(rows[:, 6:].view(len(rows), *self.point_shape), ready, image)
            found = [replace(one, keypoints=_with_confidence(each)) for one, each in zip(found, points, strict=True)]
        return detected(self.task_type, found, image)

    def _chosen(self, raw: torch.Tensor, settings: InferenceSettings) -> torch.Tensor:
        if self.end_to_end:
            return boxes.choose_final(raw, settings)
        return boxes.choose_boxes(raw.float(), len(self.class_names), settings)

    def torch_module(self) -> Any:
        return self.model

    def close(self) -> None:
        self.model = None
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


def _read_model(path: Path, *, trusted: bool) -> Any:
    """The averaged model where there is one. Raises AdapterError."""
    try:
        content, _ = torch_safe_load(str(path), safe_only=not trusted)
    except Exception as error:  # the package raises its own kinds, and a pickle may raise any
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].replace(str(path), "the file")
        raise AdapterError(
            f"Ultralytics cannot load the weights: {said[:300]}",
            "Are they a checkpoint of Ultralytics 8 or newer, and whole?",
        ) from None
    model = content.get("ema") or content.get("model")
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "yaml"):
        raise AdapterError("The file holds no model of Ultralytics.", "Register the best.pt or last.pt of a training.")
    if not hasattr(model, "stride"):
        model.stride = torch.tensor([float(SMALLEST_STRIDE)])
    model.args = dict(content.get("train_args") or {})
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
        if isinstance(module, torch.nn.Upsample):
            module.recompute_scale_factor = None  # absent in files of torch before 1.11
    return model.float()


def _by_shape(prepared: Sequence[Any]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for position, each in enumerate(prepared):
        groups.setdefault(getattr(each, "pixels", each).shape, []).append(position)
    return list(groups.values())


def _first(answer: Any) -> torch.Tensor:
    """Heads answer with what a loss would want beside their output; nested where they are several."""
    while isinstance(answer, (tuple, list)):
        answer = answer[0]
    return answer


def _masks(prototypes: Any, rows: torch.Tensor, image: Image) -> list[dict[str, Any] | None]:
    """An RLE of the image's size for each row; none where the mask is empty, which `predict` leaves out."""
    height, width = image.shape[:2]
    at_a_time = max(1, MASK_PIXELS // (height * width))
    found: list[dict[str, Any] | None] = []
    for some in rows.split(at_a_time):
        masks = process_mask_native(prototypes.float(), some[:, 6:], some[:, :4], (height, width)).numpy()
        found += [_encoded(mask) if mask.any() else None for mask in masks]
    return found


def _encoded(mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    rle = pycocotools.mask.encode(np.asfortranarray(mask))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def _with_confidence(points: torch.Tensor) -> list[float]:
    """x, y, confidence of each point; a head without confidences is taken at its word."""
    if points.shape[1] == 2:
        points = torch.cat((points, torch.ones(len(points), 1)), 1)
    return points.flatten().tolist()
