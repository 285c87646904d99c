"""Classifiers of timm: any model that it can create, from a state dict in the usual wrappings or from safetensors."""

import argparse
import difflib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
from timm.data import resolve_model_data_config

from inference.adapters import hub
from inference.adapters.answers import as_plain_json, classified, names_of_classes, softmax
from inference.adapters.base import (
    NOTHING_KNOWN,
    Adapter,
    AdapterError,
    CheckpointSpec,
    Image,
    InferenceResult,
    InferenceSettings,
)
from inference.adapters.pixels import ClassifierInput

# Averaged weights go first: they are what a training was after.
WRAPPINGS = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "model_state_dict",
    "state_dict",
    "model",
    "net",
    "weights",
]
PREFIXES = ["module.", "_orig_mod.", "model."]
NAMES = ["class_names", "classes", "names", "idx_to_class", "class_to_idx", "label_names"]
ARCHITECTURES = ["arch", "architecture", "model_name", "model"]
# What a training script's arguments say of the input; timm's own config says the rest.
INPUT = ["input_size", "img_size", "in_chans", "mean", "std", "interpolation", "crop_pct", "crop_mode"]
HOW_TO_NAME = "Name it when registering, such as `--architecture resnet18`; `timm.list_models()` has them all."


class TimmAdapter(Adapter):
    framework = "timm"
    task_type = "classification"
    model: Any

    def load_checkpoint(self, path: Path, device: str, spec: CheckpointSpec = NOTHING_KNOWN) -> None:
        content = read_weights(path)
        weights, about = unwrapped(content)
        self.architecture = spec.architecture or _told(about, ARCHITECTURES)
        told = {key: value for key, value in about.items() if key in INPUT and value is not None} | spec.preprocessing
        self.model = build(self.architecture, weights, told)
        self.device, self.deterministic = device, spec.deterministic
        self._prepare_input(told)
        outputs = int(self.model.num_classes)
        self.class_names = names_of_classes(outputs, spec.class_names, *(about.get(key) for key in NAMES))
        layout = torch.contiguous_format if spec.deterministic else torch.channels_last
        self.model = self.model.eval().requires_grad_(False).to(device=device, memory_format=layout)

    def _prepare_input(self, told: Mapping[str, Any]) -> None:
        config = resolve_model_data_config(self.model, args=_as_arguments(told, self.model))
        self.preprocessing = as_plain_json(config)
        self.reader = ClassifierInput(config)
        self.mean, self.std = (torch.from_numpy(value).to(self.device) for value in (self.reader.mean, self.reader.std))

    def preprocess(self, image: Image) -> Image:
        return self.reader.pixels(image)

    def input_tensor(self, prepared: Sequence[Any]) -> torch.Tensor:
        batch = torch.from_numpy(np.stack(prepared)).to(self.device).permute(0, 3, 1, 2)
        layout = torch.contiguous_format if self.deterministic else torch.channels_last
        return batch.to(torch.float32, memory_format=layout).div_(255).sub_(self.mean).div_(self.std)

    @torch.inference_mode()
    def forward(self, prepared: Sequence[Any]) -> np.ndarray[Any, Any]:
        mixed = self.device.startswith("cuda") and not self.deterministic
        with torch.autocast("cuda", enabled=mixed):
            logits = self.model(self.input_tensor(prepared))
        logits = logits[0] if isinstance(logits, (tuple, list)) else logits  # of models with several heads, and of exports
        return logits.float().cpu().numpy()

    def postprocess(
        self, outputs: Any, prepared: Sequence[Any], images: Sequence[Image], settings: InferenceSettings
    ) -> list[InferenceResult]:
        return [classified(row, self.class_names, image) for row, image in zip(softmax(outputs), images, strict=True)]

    def torch_module(self) -> Any:
        return self.model

    def close(self) -> None:
        self.model = None
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


# --- Files -----------------------------------------------------------------------------------------------------------
def read_weights(path: Path) -> Any:
    """What the file holds, tensors on the CPU. Only tensors and plain values are ever unpickled. Raises AdapterError."""
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        torch.serialization.add_safe_globals([argparse.Namespace, *_numpy_scalars()])
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise AdapterError(
            f"The file holds more than weights, and is not loaded: {_first_line(error)}",
            "Save the state dict alone: torch.save(model.state_dict(), 'weights.pt'), or as safetensors.",
        ) from None
    except (RuntimeError, ValueError, KeyError, EOFError, OSError, safetensors.SafetensorError) as error:
        raise AdapterError(f"The weights cannot be read: {_first_line(error)}", "Is the file whole?") from None


def _numpy_scalars() -> list[Any]:
    """A metric beside the weights is often one of numpy's numbers."""
    scalar = np.float64(0).__reduce__()[0]
    return [np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.float32)), type(np.dtype(np.int64)),
            scalar, (scalar, "numpy.core.multiarray.scalar")]  # fmt: skip


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def unwrapped(content: Any) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The state dict, and what was saved beside it (arguments of the training among it). Raises AdapterError."""
    about: dict[str, Any] = {}
    while isinstance(content, Mapping) and not _is_state_dict(content):
        about |= _plain(content)
        inner = next((content[key] for key in WRAPPINGS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            raise AdapterError(
                f"There is no state dict among what the file holds ({', '.join(map(str, list(content)[:10]))}).",
                f"Looked for under: {', '.join(WRAPPINGS)}.",
            )
        content = inner
    if not isinstance(content, Mapping) or not content:
        raise AdapterError("The file holds no state dict.", "Save it with torch.save(model.state_dict(), 'weights.pt').")
    return _without_prefixes(dict(content)), about


def _is_state_dict(content: Mapping[str, Any]) -> bool:
    return bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Values beside the weights, one level of arguments opened."""
    weights = {key for key in WRAPPINGS if isinstance(content.get(key), Mapping)}
    found = {key: value for key, value in content.items() if key not in weights and not isinstance(value, torch.Tensor)}
    for key in ("args", "config", "hyper_parameters"):
        inner = found.get(key)
        inner = vars(inner) if isinstance(inner, argparse.Namespace) else inner
        if isinstance(inner, Mapping):
            found = {**inner, **found}
    return found


def _without_prefixes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Averaging keeps a counter beside the weights, and wrappers put their name before every key."""
    weights = {key: value for key, value in weights.items() if key != "n_averaged"}
    for _ in PREFIXES:
        for prefix in PREFIXES:
            if weights and all(key.startswith(prefix) for key in weights):
                weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def _told(about: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((about[key] for key in keys if isinstance(about.get(key), str)), "")


# --- Models ----------------------------------------------------------------------------------------------------------
def build(architecture: str, weights: dict[str, torch.Tensor], told: Mapping[str, Any]) -> Any:
    """The model with its weights. Raises AdapterError where the architecture is unknown or is another's."""
    if not architecture:
        raise AdapterError("The file does not say which architecture it is of.", HOW_TO_NAME)
    if not hub.is_hub_name(architecture) and not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture.split(".")[0], timm.list_models(), n=5)
        raise AdapterError(
            f"timm knows no architecture '{architecture}'." + (f" Near it: {', '.join(near)}." if near else ""), HOW_TO_NAME
        )
    try:
        model = timm.create_model(architecture, pretrained=False, **_shape(architecture, weights, told))
    except AdapterError:
        raise
    except Exception as error:
        raise AdapterError(
            f"timm cannot make '{architecture}': {_first_line(error)}", "Check the architecture and the input size."
        ) from None
    return _filled(model, architecture, weights)


def _filled(model: Any, architecture: str, weights: dict[str, torch.Tensor]) -> Any:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        ours, theirs = set(model.state_dict()), set(weights)
        raise AdapterError(
            f"The weights are not those of {architecture}: {len(ours - theirs)} of its {len(ours)} tensors are missing, "
            f"{len(theirs - ours)} are strange to it. {_first_mismatch(error)}",
            "Name the architecture that was trained.",
        ) from None
    return model


def _first_mismatch(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
    return lines[0][:200] if lines else ""


def _shape(architecture: str, weights: dict[str, torch.Tensor], told: Mapping[str, Any]) -> dict[str, Any]:
    """Classes and channels as the weights have them, and the input's size where the architecture is built for one."""
    if hub.is_hub_name(architecture):
        config: Any = hub.config_of(architecture)
    else:
        config = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    config = config if isinstance(config, Mapping) else (config.to_dict() if config else {})
    shape: dict[str, Any] = {}
    if (classes := _rows(weights, config.get("classifier"), 0)) is not None:
        shape["num_classes"] = classes
    if (channels := _rows(weights, config.get("first_conv"), 1)) is not None:
        shape["in_chans"] = channels
    if config.get("fixed_input_size") and (size := _size(told)):
        shape["img_size"] = size
    return shape


def _rows(weights: dict[str, torch.Tensor], layers: Any, dimension: int) -> int | None:
    """The size of a layer's weights in that dimension; of several, such as a distilled head's, the first's."""
    layer = layers[0] if isinstance(layers, (list, tuple)) and layers else layers
    found = weights.get(f"{layer}.weight")
    return None if found is None or found.ndim <= dimension else int(found.shape[dimension])


def _size(told: Mapping[str, Any]) -> tuple[int, int] | None:
    size = told.get("input_size")
    if isinstance(size, (list, tuple)) and len(size) == 3:
        return int(size[1]), int(size[2])
    return (int(told["img_size"]),) * 2 if told.get("img_size") else None  # type: ignore[return-value]


def _as_arguments(told: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """As timm takes them. The channels are the model's; colours' means are averaged where it sees grey alone."""
    channels = next((weight.shape[1] for weight in model.parameters() if weight.ndim == 4), 3)
    size = _size(told) or tuple(model.pretrained_cfg.get("input_size", (3, 224, 224))[1:])
    arguments: dict[str, Any] = {key: told[key] for key in INPUT[3:] if told.get(key)} | {"input_size": (int(channels), *size)}
    for key in ("mean", "std"):
        values = arguments.get(key) or model.pretrained_cfg.get(key)
        if values and len(values) != channels:
            arguments[key] = (float(np.mean(values)),) * int(channels)
    return arguments
