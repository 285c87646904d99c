"""A loaded checkpoint as ONNX or TorchScript, and such a file in the place of the model that it was made from.

Exports have one input size. Letterboxes are square for them, so that is how both sides are asked where they are compared.
"""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from inference.adapters.base import Adapter, AdapterError, Image, InferenceResult

OPSET = 18
Tensors = tuple[torch.Tensor, ...]


def write(adapter: Adapter, format: str, path: Path) -> None:
    """Raises AdapterError where the model cannot be traced."""
    module = _traceable(adapter, format)
    example = torch.zeros(1, *input_shape(adapter))
    try:
        if format == "torchscript":
            torch.jit.save(torch.jit.trace(module, example, check_trace=False, strict=False), path)
            return
        names = [f"output{number}" for number in range(module.count)]
        torch.onnx.export(
            module, (example,), path, opset_version=OPSET, dynamo=False, input_names=["images"], output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ["images", *names]},
        )  # fmt: skip
    except Exception as error:  # tracing raises whatever the model's own code raises
        raise AdapterError(f"The model cannot be exported: {str(error).strip().splitlines()[0][:300]}") from None
    _describe(adapter, path)


class Answers(torch.nn.Module):
    """The model's answer alone, without what a loss would want beside it: a tensor, of a segmenter also its prototypes."""

    def __init__(self, module: Any, task_type: str) -> None:
        super().__init__()
        self.module = module
        self.count = 2 if task_type == "segmentation" else 1

    def forward(self, images: torch.Tensor) -> Tensors:
        answer = self.module(images)
        if self.count == 1:
            return (_first(answer),)
        raw, prototypes = answer[0] if isinstance(answer[0], tuple) else answer[:2]
        return raw, _first(prototypes)


def _first(answer: Any) -> torch.Tensor:
    while isinstance(answer, (tuple, list)):
        answer = answer[0]
    return answer


def _traceable(adapter: Adapter, format: str) -> Answers:
    """A copy, plainly laid out; Ultralytics' heads have a way of working for exports."""
    module = copy.deepcopy(adapter.torch_module()).to("cpu", torch.float32, memory_format=torch.contiguous_format).eval()
    if adapter.framework == "ultralytics":
        for part in module.modules():
            if hasattr(part, "export"):
                part.export, part.format = True, format
    return Answers(module, adapter.task_type)


def input_shape(adapter: Adapter) -> tuple[int, int, int]:
    """Channels, height and width in pixels."""
    told = adapter.preprocessing
    channels, height, width = told.get("input_size") or (3, *told["imgsz"])
    return int(channels), int(height), int(width)


def _describe(adapter: Adapter, path: Path) -> None:
    """What the file must tell so that it runs without the checkpoint."""
    about = {
        "task_type": adapter.task_type,
        "names": adapter.class_names,
        "outputs": "logits" if adapter.framework == "timm" else "probabilities",
        "end_to_end": bool(getattr(adapter, "end_to_end", False)),
        **adapter.preprocessing,
    }
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"touchstone": json.dumps(about)})
    onnx.save(model, path)


# --- Comparing -------------------------------------------------------------------------------------------------------
class Comparison:
    """A checkpoint and its export, asked the same."""

    def __init__(self, adapter: Adapter, format: str, path: Path) -> None:
        self.origin, self.export = copy.copy(adapter), copy.copy(adapter)
        for side in (self.origin, self.export):
            if hasattr(side, "stride"):
                side.stride = 0  # square letterboxes
        self._of_origin = Answers(adapter.torch_module(), adapter.task_type)
        self._of_export = _onnx(path) if format == "onnx" else _torchscript(path)
        self.export.model = self._of_export  # type: ignore[attr-defined]

    @torch.inference_mode()
    def difference(self, image: Image) -> float:
        """The largest absolute difference of the outputs for the same tensor."""
        batch = self.origin.input_tensor([self.origin.preprocess(image)])
        pairs = zip(self._of_origin(batch.clone()), self._of_export(batch.clone()), strict=True)
        return max(float((one - other).abs().max()) for one, other in pairs)

    def answers(self, image: Image) -> tuple[InferenceResult, InferenceResult]:
        return self.origin.infer_single(image), self.export.infer_single(image)


def _onnx(path: Path) -> Callable[[torch.Tensor], Tensors]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(batch: torch.Tensor) -> Tensors:
        found: Sequence[Any] = session.run(None, {"images": batch.contiguous().numpy()})
        return tuple(torch.from_numpy(each) for each in found)

    return run


def _torchscript(path: Path) -> Callable[[torch.Tensor], Tensors]:
    module = torch.jit.load(path)

    def run(batch: torch.Tensor) -> Tensors:
        return tuple(module(batch))

    return run
