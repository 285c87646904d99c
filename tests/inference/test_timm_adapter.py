"""The adapter for timm: any wrapping of a state dict, preprocessing as timm has it, and clear words where something lacks."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extras import needs

pytestmark = needs("torch", "timm", "safetensors")

import safetensors.torch  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from timm.data import create_transform, resolve_model_data_config  # noqa: E402

from config.demo.weights import FOLDER, digits  # noqa: E402
from inference import devices, gradcam  # noqa: E402
from inference.adapters.base import AdapterError, CheckpointSpec  # noqa: E402
from inference.adapters.timm import TimmAdapter  # noqa: E402

ARCHITECTURE = "test_efficientnet"
NAMED = CheckpointSpec(architecture=ARCHITECTURE, deterministic=True)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return timm.create_model(ARCHITECTURE, num_classes=3).eval()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)


def loaded(path: Path, spec: CheckpointSpec = NAMED) -> TimmAdapter:
    adapter = TimmAdapter()
    adapter.load_checkpoint(path, "cpu", spec)
    return adapter


def prefixed(weights: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + key: value for key, value in weights.items()}


WRAPPINGS = {
    "bare": lambda weights: weights,
    "state_dict": lambda weights: {"state_dict": weights, "epoch": 3},
    "model_state_dict": lambda weights: {"model_state_dict": weights, "optimizer": {"lr": 0.1}},
    "model": lambda weights: {"model": weights},
    "module.": lambda weights: {"model": prefixed(weights, "module.")},
    "compiled in parallel": lambda weights: {"model": prefixed(weights, "module._orig_mod.")},
    "lightning": lambda weights: {"state_dict": prefixed(weights, "model."), "hyper_parameters": {"lr": 0.1}},
    "timm's script": lambda weights: {"state_dict": {key: torch.zeros_like(value) for key, value in weights.items()},
                                      "state_dict_ema": weights, "metric": np.float64(0.5), "args": argparse.Namespace(model="x")},
}  # fmt: skip


@pytest.mark.parametrize("wrapping", list(WRAPPINGS))
def test_every_usual_wrapping_is_opened(wrapping: str, model: Any, image: np.ndarray, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[wrapping](model.state_dict()), tmp_path / "a.pt")
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    with torch.inference_mode():
        expected = model(transform(Image.fromarray(image))[None]).softmax(1)[0].double().numpy()
    found = loaded(tmp_path / "a.pt").infer_single(image)
    assert np.allclose(found.probabilities, expected, atol=1e-6) and len(found.top) == 3


def test_safetensors(model: Any, image: np.ndarray, tmp_path: Path) -> None:
    safetensors.torch.save_file(model.state_dict(), tmp_path / "a.safetensors")
    assert loaded(tmp_path / "a.safetensors").class_names == ["0", "1", "2"]


def test_names_and_input_beside_the_weights(model: Any, tmp_path: Path) -> None:
    about = {"class_to_idx": {"b": 1, "a": 0, "c": 2}, "args": argparse.Namespace(model=ARCHITECTURE, img_size=64)}
    torch.save({"state_dict": model.state_dict(), **about}, tmp_path / "a.pt")
    adapter = loaded(tmp_path / "a.pt", CheckpointSpec())
    assert adapter.class_names == ["a", "b", "c"] and adapter.preprocessing["input_size"] == [3, 64, 64]


@pytest.mark.parametrize(
    ("architecture", "told"),
    [("", "does not say which"), ("resnet81", "Near it: resnet"), ("resnet18", "are not those of resnet18")],
)
def test_an_architecture_that_does_not_fit_is_named(architecture: str, told: str, model: Any, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "a.pt")
    with pytest.raises(AdapterError, match=told):
        loaded(tmp_path / "a.pt", CheckpointSpec(architecture=architecture))


def test_more_than_weights_is_never_loaded(model: Any, tmp_path: Path) -> None:
    torch.save(model, tmp_path / "a.pt")
    with pytest.raises(AdapterError, match="more than weights"):
        loaded(tmp_path / "a.pt", CheckpointSpec(architecture=ARCHITECTURE, trusted=True))


def test_the_demos_classifier_reads_digits() -> None:
    adapter = loaded(FOLDER / "digits.pt", CheckpointSpec())
    _, (pictures, truth) = digits()
    right = sum(result.label == str(digit) for result, digit in zip(adapter.infer_batch(list(pictures)), truth, strict=True))
    assert right / len(truth) > 0.97


def test_grad_cam_looks_at_the_digit(image: np.ndarray) -> None:
    adapter = loaded(FOLDER / "digits.pt", CheckpointSpec())
    heat = gradcam.heat_map(adapter, image)
    assert heat.shape == image.shape[:2] and heat.min() >= 0 and heat.max() <= 1
    assert not heat[:, :30].any()  # the crop does not reach there


def test_a_device_that_is_not_there_says_so() -> None:
    assert devices.choose("cpu") == "cpu" and devices.choose()
    with pytest.raises(AdapterError, match="no device 'tpu9'"):
        devices.choose("tpu9")
