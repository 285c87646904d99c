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


@pytest.mark.parametrize("architecture", ["resnet10t", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_grad_cam_finds_the_places_of_any_layout(architecture: str, image: np.ndarray, tmp_path: Path) -> None:
    """Maps with channels first, with channels last, and rows of tokens."""
    torch.manual_seed(0)
    torch.save(timm.create_model(architecture, num_classes=3).state_dict(), tmp_path / "a.pt")
    adapter = loaded(tmp_path / "a.pt", CheckpointSpec(architecture=architecture))
    heats = [gradcam.heat_map(adapter, image, class_id) for class_id in range(3)]
    assert all(heat.shape == image.shape[:2] for heat in heats)
    assert max(heat.max() for heat in heats) > 0.9 and min(heat.min() for heat in heats) >= 0  # scaled up, a peak is no point


def test_grad_cam_shows_the_place_that_spoke(tmp_path: Path) -> None:
    """A network whose only score is how red the picture is, on a picture that is red below."""
    adapter = loaded(FOLDER / "digits.pt", CheckpointSpec())
    layers = [torch.nn.Conv2d(3, 1, 1, bias=False), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    layers[0].weight.data[:] = torch.tensor([1.0, -1.0, 0.0]).reshape(1, 3, 1, 1)
    adapter.model = torch.nn.Sequential(*layers).requires_grad_(False)
    adapter.input_tensor = lambda prepared: torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2).float()  # type: ignore[method-assign]
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[40:, :, 0] = 250
    heat = gradcam.heat_map(adapter, picture)
    assert heat[48:].min() > 0.9 and heat[:32].max() < 0.1


def test_grad_cam_says_where_no_layer_keeps_places_apart(image: np.ndarray, tmp_path: Path) -> None:
    torch.save(timm.create_model("mixer_s32_224", num_classes=2).state_dict(), tmp_path / "a.pt")
    adapter = loaded(tmp_path / "a.pt", CheckpointSpec(architecture="mixer_s32_224"))
    with pytest.raises(AdapterError, match="keep no places apart"):
        gradcam.heat_map(adapter, image)


def test_a_device_that_is_not_there_says_so() -> None:
    assert devices.choose("cpu") == "cpu" and devices.choose()
    with pytest.raises(AdapterError, match="no device 'tpu9'"):
        devices.choose("tpu9")
