"""ONNX exports of detectors: boxes in the image's pixels, names and size as the export tells, and the numbers of the origin."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.extras import needs

pytestmark = needs("torch", "onnx", "onnxruntime", "cv2")

import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from inference.adapters.base import AdapterError, CheckpointSpec, InferenceSettings  # noqa: E402
from inference.adapters.onnx import OnnxAdapter  # noqa: E402
from inference.adapters.pixels import ClassifierInput, plain  # noqa: E402
from inference.engine import Pace, Picture, Plan, answers  # noqa: E402

SIDE = 64
# Centre x, centre y, width, height in pixels of the letterbox, then a score for each of two classes.
CANDIDATES = [
    (32, 32, 20, 10, 0.9, 0.1),
    (33, 32, 20, 10, 0.8, 0.0),  # the same cat once more
    (32, 32, 20, 10, 0.0, 0.7),  # a dog in the same place
    (10, 30, 8, 8, 0.2, 0.0),  # below the threshold
]
TOLD = {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "imgsz": f"[{SIDE}, {SIDE}]"}
WIDE = np.zeros((64, 128, 3), np.uint8)  # scaled by a half, 16 grey pixels above and below


def constant_detector(path: Path, answer: Any, told: dict[str, str] = TOLD) -> Path:
    """Says the same of every image, which it takes one at a time."""
    rows = np.array([answer], np.float32)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(rows.shape))
    node = helper.make_node("Constant", [], ["output0"], value=numpy_helper.from_array(rows))
    model = helper.make_model(
        helper.make_graph([node], "detector", [images], [output]), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    helper.set_model_props(model, told)
    onnx.save(model, path)
    return path


def loaded(path: Path, spec: CheckpointSpec | None = None) -> OnnxAdapter:
    adapter = OnnxAdapter()
    adapter.load_checkpoint(path, "cpu", spec or CheckpointSpec())
    return adapter


def candidates() -> Any:
    return np.array(CANDIDATES, np.float32).T


def test_boxes_are_in_pixels_of_the_image_after_suppression_within_classes(tmp_path: Path) -> None:
    adapter = loaded(constant_detector(tmp_path / "a.onnx", candidates()))
    found = adapter.infer_single(WIDE, InferenceSettings(confidence=0.25, iou=0.5)).objects
    assert [(each.label, each.label_id, each.box) for each in found] == [
        ("cat", 0, pytest.approx((44, 22, 40, 20))),
        ("dog", 1, pytest.approx((44, 22, 40, 20))),
    ]
    assert [each.confidence for each in found] == pytest.approx([0.9, 0.7])


def test_boxes_are_cut_at_the_edges_of_the_image(tmp_path: Path) -> None:
    at_the_corner = np.array([(0, 16, 20, 10, 0.9, 0.0)], np.float32).T
    found = loaded(constant_detector(tmp_path / "a.onnx", at_the_corner)).infer_single(WIDE).objects
    assert [each.box for each in found] == [pytest.approx((0, 0, 20, 10))]


def test_an_export_for_one_image_answers_for_many(tmp_path: Path) -> None:
    answers = loaded(constant_detector(tmp_path / "a.onnx", candidates())).infer_batch([WIDE] * 3)
    assert [len(answer.objects) for answer in answers] == [2, 2, 2]


def test_final_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    """Of a head that suppresses by itself: corners, confidence, class."""
    rows = np.array([(22, 27, 42, 37, 0.9, 1), (22, 27, 42, 37, 0.8, 1), (0, 0, 5, 5, 0.1, 0)], np.float32)
    found = loaded(constant_detector(tmp_path / "a.onnx", rows, TOLD | {"end2end": "True"})).infer_single(WIDE).objects
    assert [(each.label, each.box) for each in found] == [("dog", pytest.approx((44, 22, 40, 20)))] * 2


def test_names_that_do_not_fit_the_outputs_are_an_error(tmp_path: Path) -> None:
    path = constant_detector(tmp_path / "a.onnx", candidates(), TOLD | {"names": "{0: 'cat'}"})
    with pytest.raises(AdapterError, match="2 outputs, but 1 class names"):
        loaded(path)


def test_metadata_that_cannot_be_read_are_an_error_in_words(tmp_path: Path) -> None:
    path = constant_detector(tmp_path / "a.onnx", candidates(), TOLD | {"names": "{0: 'cat"})
    with pytest.raises(AdapterError, match="metadata cannot be read"):
        loaded(path)


def test_a_plain_export_is_told_of(tmp_path: Path) -> None:
    spec = CheckpointSpec(task_type="detection", class_names=("cup", "bowl"))
    adapter = loaded(constant_detector(tmp_path / "a.onnx", candidates(), {}), spec)
    assert adapter.size == (SIDE, SIDE) and [each.label for each in adapter.infer_single(WIDE).objects] == ["cup", "bowl"]


@pytest.mark.parametrize("layout", ["yolo11n.yaml", "yolo26n.yaml"])
def test_an_export_of_ultralytics_gives_the_numbers_of_its_origin(layout: str, tmp_path: Path) -> None:
    needs("ultralytics")
    torch = pytest.importorskip("torch")
    from inference.adapters import export_formats
    from inference.adapters.ultralytics import UltralyticsAdapter

    from ultralytics.nn import tasks  # isort: skip - after what keeps the package quiet

    torch.manual_seed(1)
    narrow = {"nc": 3, "scales": {"n": [0.33, 0.125, 256]}, "scale": "n"}
    model = tasks.DetectionModel({**tasks.yaml_model_load(layout), **narrow}, verbose=False)
    model.names = {0: "cat", 1: "dog", 2: "cup"}
    torch.save({"model": model.half(), "train_args": {"imgsz": SIDE, "task": "detect"}}, tmp_path / "origin.pt")
    origin = UltralyticsAdapter()
    origin.load_checkpoint(tmp_path / "origin.pt", "cpu")
    export_formats.write(origin, "onnx", tmp_path / "export.onnx")

    export = loaded(tmp_path / "export.onnx")
    assert (export.task_type, export.class_names, export.size) == ("detection", ["cat", "dog", "cup"], (SIDE, SIDE))
    assert export.end_to_end == origin.end_to_end
    origin.stride = 0  # square letterboxes, as exports have them
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    said, told = origin.forward([origin.preprocess(image)])[0].raw.numpy(), export.forward([export.preprocess(image)])[0]
    assert said.shape == told.shape
    if origin.end_to_end:  # rows of an untrained head are equally sure, and their order is anybody's guess
        said, told = said[:, 4], told[:, 4]
    assert np.allclose(said, told, atol=1e-3)


# --- Weights and images that mean harm -------------------------------------------------------------------------------
def test_an_input_beyond_all_sense_is_refused_when_loading(tmp_path: Path) -> None:
    """A letterbox of that size is gigabytes for every image, whatever the model does with it."""
    path = constant_detector(tmp_path / "a.onnx", candidates(), TOLD | {"imgsz": "[200000, 200000]"})
    with pytest.raises(AdapterError, match="200000 x 200000 pixels"):
        loaded(path)


@pytest.mark.parametrize("told", [{"input_size": (3, 100_000, 224)}, {"crop_pct": 0.0001}, {"crop_pct": -1}])
def test_a_preparation_beyond_all_sense_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(AdapterError, match="too large, or none"):
        ClassifierInput(plain((224, 224)) | told)


@pytest.mark.parametrize("shape", [(65_000, 1, 3), (1, 65_000, 3)])
def test_of_a_very_long_image_the_middle_is_seen(shape: tuple[int, ...]) -> None:
    """Scaled by its short side it would have 3 thousand million pixels."""
    image = np.zeros(shape, np.uint8)
    image.reshape(-1, 3)[32_000:33_000] = 255
    pixels = ClassifierInput(plain((224, 224))).pixels(image)
    assert pixels.shape == (224, 224, 3) and pixels.min() == 255


def test_a_graph_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(name: str, kind: int, shape: Any) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [helper.make_node("Identity", ["more"], ["on"]), helper.make_node("Add", ["value", "value"], ["next"])],
        "again",
        [told("number", TensorProto.INT64, []), told("more", TensorProto.BOOL, []), told("value", TensorProto.FLOAT, None)],
        [told("on", TensorProto.BOOL, []), told("next", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["start"]),
        helper.make_node("Loop", ["count", "yes", "start"], ["output0"], body=body),
    ]
    constants = [
        helper.make_tensor("count", TensorProto.INT64, [], [2**62]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
    ]
    images = told("images", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph(nodes, "endless", [images], [told("output0", TensorProto.FLOAT, [1, 3])], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "a.onnx")
    monkeypatch.setattr("inference.adapters.onnx.MOST_SECONDS", 0.3)
    adapter = loaded(tmp_path / "a.onnx", CheckpointSpec(task_type="classification"))
    Image.fromarray(WIDE).save(tmp_path / "a.png")
    pictures = [Picture(number, (tmp_path / "a.png").read_bytes) for number in range(2)]
    with pytest.raises(AdapterError, match="has not answered within"):
        list(answers(adapter, pictures, InferenceSettings(), Pace(Plan(batch_size=2))))
