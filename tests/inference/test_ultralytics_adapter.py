"""The adapter for Ultralytics says what the package's own `predict` says, to the last digit, and loads nothing but models."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extras import needs

pytestmark = needs("torch", "torchvision", "ultralytics", "cv2")

import pycocotools.mask  # noqa: E402
import torch  # noqa: E402

from inference.adapters import quiet_ultralytics  # noqa: E402, F401 - before the package itself

from ultralytics import YOLO  # noqa: E402 # isort: skip
from ultralytics.nn import tasks  # noqa: E402 # isort: skip
from ultralytics.utils.torch_utils import init_seeds  # noqa: E402 # isort: skip

from inference import gradcam  # noqa: E402
from inference.adapters.base import AdapterError, CheckpointSpec, InferenceSettings  # noqa: E402
from inference.adapters.ultralytics import UltralyticsAdapter  # noqa: E402

SIDE = 96
LAYOUTS = {
    "detect": ("yolo11n.yaml", {"nc": 5}),
    "end-to-end": ("yolo26n.yaml", {"nc": 5}),
    "segment": ("yolo11n-seg.yaml", {"nc": 5}),
    "pose": ("yolov8n-pose.yaml", {"nc": 1, "kpt_shape": [5, 3]}),
    "classify": ("yolo11n-cls.yaml", {"nc": 4}),
}

MODELS = {
    "detect": tasks.DetectionModel,
    "end-to-end": tasks.DetectionModel,
    "segment": tasks.SegmentationModel,
    "pose": tasks.PoseModel,
    "classify": tasks.ClassificationModel,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Checkpoints as trainings leave them, untrained: numbers are numbers."""
    folder = tmp_path_factory.mktemp("weights")

    def make(kind: str) -> Path:
        path = folder / f"{kind}.pt"
        if not path.exists():
            torch.set_num_threads(2)
            init_seeds(1)
            layout, changes = LAYOUTS[kind]
            model = MODELS[kind](
                {**tasks.yaml_model_load(layout), **changes, "scales": {"n": [0.33, 0.125, 256]}, "scale": "n"}, verbose=False
            )
            model.names = {number: f"class {number}" for number in range(changes["nc"])}
            with torch.no_grad():
                for name, value in model.named_parameters():
                    if "cv3" in name and name.endswith("2.bias"):
                        value.fill_(-0.5)  # a fresh head is sure of nothing
            task = "detect" if kind == "end-to-end" else kind
            torch.save({"model": model.half(), "train_args": {"imgsz": SIDE, "task": task}}, path)
        return path

    return make


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """RGB, of several shapes, smaller and larger than what the model sees, one narrow."""
    rng = np.random.default_rng(0)
    shapes = [(120, 160), (160, 120), (90, 90), (40, 200), (333, 77)]
    return [
        np.kron(rng.integers(0, 256, (h // 10 + 1, w // 10 + 1, 3), np.uint8), np.ones((10, 10, 1), np.uint8))[:h, :w]
        for h, w in shapes
    ]


def loaded(path: Path) -> UltralyticsAdapter:
    adapter = UltralyticsAdapter()
    adapter.load_checkpoint(path, "cpu")
    return adapter


ASKED = InferenceSettings(confidence=0.3, iou=0.5, max_objects=20)


def predicted(path: Path, image: np.ndarray) -> Any:
    before = torch.get_num_threads()
    result = YOLO(path).predict(
        image[..., ::-1],
        conf=ASKED.confidence,
        iou=ASKED.iou,
        max_det=ASKED.max_objects,
        retina_masks=True,
        verbose=False,
        device="cpu",
    )[0]
    torch.set_num_threads(before)
    return result


@pytest.mark.parametrize("kind", ["detect", "end-to-end", "segment", "pose"])
def test_boxes_are_those_of_predict_to_the_last_digit(kind: str, weights: Any, images: list[np.ndarray]) -> None:
    ours = [loaded(weights(kind)).infer_single(image, ASKED) for image in images]
    theirs = [predicted(weights(kind), image) for image in images]
    assert sum(len(result.objects) for result in ours) > 0
    for our, their in zip(ours, theirs, strict=True):
        corners = [(x, y, x + w, y + h) for x, y, w, h in (each.box for each in our.objects)]
        assert [each.label_id for each in our.objects] == their.boxes.cls.int().tolist()
        assert [each.confidence for each in our.objects] == their.boxes.conf.tolist()
        assert np.allclose(np.array(corners).reshape(-1, 4), their.boxes.xyxy.double().numpy(), rtol=0, atol=1e-12)


def test_masks_are_those_of_predict(weights: Any, images: list[np.ndarray]) -> None:
    for image in images:
        found = loaded(weights("segment")).infer_single(image, ASKED).objects
        their = predicted(weights("segment"), image)
        for each, mask in zip(found, their.masks.data if their.masks is not None else [], strict=True):
            assert each.mask and each.mask["size"] == list(image.shape[:2])
            assert np.array_equal(pycocotools.mask.decode(each.mask), mask.numpy())


def test_keypoints_are_those_of_predict(weights: Any, images: list[np.ndarray]) -> None:
    for image in images:
        found = loaded(weights("pose")).infer_single(image, ASKED).objects
        assert [each.keypoints for each in found] == [
            points.flatten().tolist() for points in predicted(weights("pose"), image).keypoints.data
        ]


def test_probabilities_are_those_of_predict(weights: Any, images: list[np.ndarray]) -> None:
    for image in images:
        found = loaded(weights("classify")).infer_single(image)
        assert list(found.probabilities) == predicted(weights("classify"), image).probs.data.tolist()


@pytest.mark.parametrize("kind", list(LAYOUTS))
def test_a_batch_of_any_shapes_gives_the_outputs_of_single_images(kind: str, weights: Any, images: list[np.ndarray]) -> None:
    """Up to the arithmetic of batches; boxes about as sure as the threshold may come and go with it."""
    adapter = loaded(weights(kind))
    prepared = [adapter.preprocess(image) for image in [*images, *images]]
    alone = [adapter.forward([each])[0].raw for each in prepared]
    together = [output.raw for output in adapter.forward(prepared)]
    assert [one.shape for one in together] == [one.shape for one in alone]
    if kind != "end-to-end":  # whose rows are sorted, so that equals change places
        assert all(torch.allclose(one, other, atol=1e-2, rtol=1e-3) for one, other in zip(together, alone, strict=True))


def test_grad_cam_looks_into_a_classifier_and_into_nothing_else(weights: Any, images: list[np.ndarray]) -> None:
    heats = [gradcam.heat_map(loaded(weights("classify")), images[0], class_id) for class_id in range(4)]
    assert all(heat.shape == images[0].shape[:2] for heat in heats) and max(heat.max() for heat in heats) > 0.9
    with pytest.raises(AdapterError, match="explains classifiers"):
        gradcam.heat_map(loaded(weights("detect")), images[0])


def test_four_classes_are_enough_for_the_best_five(weights: Any, images: list[np.ndarray]) -> None:
    assert len(loaded(weights("classify")).infer_single(images[0]).top) == 4


def test_nothing_is_found_where_nothing_is_sure(weights: Any, images: list[np.ndarray]) -> None:
    result = loaded(weights("segment")).infer_single(images[0], InferenceSettings(confidence=1.0))
    assert result.objects == () and result.label == ""


def test_names_of_the_registration_go_before_those_of_the_file(weights: Any) -> None:
    adapter = UltralyticsAdapter()
    adapter.load_checkpoint(weights("classify"), "cpu", CheckpointSpec(class_names=("a", "b", "c", "d")))
    assert adapter.class_names == ["a", "b", "c", "d"]


def test_too_few_names_are_an_error_that_counts(weights: Any) -> None:
    with pytest.raises(AdapterError, match="4 outputs, but 2 class names"):
        UltralyticsAdapter().load_checkpoint(weights("classify"), "cpu", CheckpointSpec(class_names=("a", "b")))


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def test_the_loader_itself_runs_no_code(tmp_path: Path) -> None:
    """Where our inspection should have missed something."""
    torch.save({"model": Payload(tmp_path / "ran")}, tmp_path / "evil.pt", pickle_module=pickle)
    with pytest.raises(AdapterError):
        UltralyticsAdapter().load_checkpoint(tmp_path / "evil.pt", "cpu")
    assert not (tmp_path / "ran").exists()


def test_trusted_weights_run_what_they_say(tmp_path: Path) -> None:
    torch.save({"model": Payload(tmp_path / "ran")}, tmp_path / "evil.pt", pickle_module=pickle)
    with pytest.raises(AdapterError, match="no model"):
        UltralyticsAdapter().load_checkpoint(tmp_path / "evil.pt", "cpu", CheckpointSpec(trusted=True))
    assert (tmp_path / "ran").exists()


def test_importing_leaves_threads_and_stays_at_home(tmp_path: Path) -> None:
    code = (
        "import torch, os; before = torch.get_num_threads(); import socket; from PIL import Image; opened = Image.open; "
        "socket.getaddrinfo = socket.create_connection = lambda *a, **k: os._exit(3); "
        "from inference.adapters import ultralytics as ours; from ultralytics.utils import SETTINGS, ONLINE, AUTOINSTALL; "
        "assert torch.get_num_threads() == before and Image.open is opened; assert not SETTINGS['sync'] and not ONLINE and not AUTOINSTALL; "
        "assert str(SETTINGS.file).startswith(os.environ['YOLO_CONFIG_DIR'])"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("YOLO")}
    subprocess.run([sys.executable, "-c", code], check=True, env={**environment, "YOLO_CONFIG_DIR": str(tmp_path)})
