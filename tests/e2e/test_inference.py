"""Try it in a real browser: an image in, the answer in its place, sliders that ask nobody; a batch with its gallery."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stand

pytest.importorskip("onnx", reason="NO ONNX: the checkpoint of this test is made with it")
LOADING = 90_000  # milliseconds: the worker imports torch


@pytest.fixture(scope="module")
def checkpoint(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A detector that finds two overlapping things in any image, by constants of its graph; registered as anybody would."""
    path = tmp_path_factory.mktemp("weights") / "two.onnx"
    path.write_bytes(two_boxes())
    return stand.manage("register_checkpoint", str(path), "--framework", "onnx", "--name", "two").splitlines()[-1]


def two_boxes() -> bytes:
    """YOLO's output, [1, 4 + classes, candidates]: centre x, y, width, height, and a score for each class."""
    from onnx import TensorProto, helper, numpy_helper

    rows = np.array([[300, 340], [320, 320], [200, 200], [200, 200], [0.9, 0.5], [0.0, 0.0]], dtype=np.float32)[None]
    nothing = helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0)
    zero = helper.make_node("Mul", ["most", "zero"], ["none"])
    output = helper.make_node("Add", ["rows", "none"], ["output0"])
    constants = [numpy_helper.from_array(rows, "rows"), numpy_helper.from_array(np.float32(0), "zero")]
    graph = helper.make_graph(
        [nothing, zero, output], "two", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 640, 640])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 2])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "imgsz": "[640, 640]", "stride": "32"}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (640, 640), (90, 120, 150)).save(tmp_path / "sky.png")
    return tmp_path / "sky.png"


def test_an_image_is_answered_and_its_sliders_act_at_once(stand: Stand, page: Page, checkpoint: str, picture: Path) -> None:
    page.goto("/")
    page.get_by_role("link", name="Inference").click()
    page.set_input_files("#id_image", picture)  # the second of three clicks
    answer = page.locator(".answer")
    expect(answer).to_have_attribute("data-status", "completed", timeout=LOADING)
    expect(answer.locator("[data-count]")).to_have_text("2 objects")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    slide(page, "confidence", 0.7)
    expect(answer.locator("[data-count]")).to_have_text("1 object")
    slide(page, "confidence", 0.3)
    slide(page, "iou", 0.5)  # the two overlap by two thirds
    expect(answer.locator("[data-count]")).to_have_text("1 object")
    assert asked == []
    expect(answer.locator("[data-picture]")).to_have_attribute("href", re.compile("confidence=0.3&iou=0.5"))


def slide(page: Page, name: str, value: float) -> None:
    page.locator(f"[data-{name}]").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }", value
    )


def test_a_batch_runs_and_its_gallery_is_filtered(stand: Stand, page: Page, checkpoint: str, picture: Path) -> None:
    page.goto("/projects/ada/inference/batch/")
    copies = [picture.with_name(f"{n}.png") for n in range(3)]
    for copy in copies:
        copy.write_bytes(picture.read_bytes())
    page.set_input_files("#id_files", copies)
    page.get_by_role("button", name="Run").click()
    page.wait_for_url("**/inference/*/")
    expect(page.locator(".sample-card")).to_have_count(3, timeout=LOADING)
    expect(page.locator(".sample-card svg.overlay").first).to_be_visible()
    page.get_by_role("link", name="Table").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.select_option("[name=label]", "cat")
    expect(page).to_have_url(re.compile("label=cat"))
