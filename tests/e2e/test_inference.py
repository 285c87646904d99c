"""Try it in a real browser: an image in, the answer in its place, sliders that ask nobody; a batch with its gallery."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import ROOT, Stand

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


def slide(within: Page | Locator, name: str, value: float) -> None:
    within.locator(f"[data-{name}]").evaluate(
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


def test_two_checkpoints_answer_side_by_side(stand: Stand, page: Page, checkpoint: str, picture: Path) -> None:
    page.goto(f"/projects/ada/inference/?checkpoint={checkpoint}")
    page.select_option("#id_beside", checkpoint)
    page.set_input_files("#id_image", picture)
    answers = page.locator('.answer[data-status="completed"]')
    expect(answers).to_have_count(2, timeout=LOADING)
    slide(answers.nth(1), "confidence", 0.7)
    expect(answers.nth(0).locator("[data-count]")).to_have_text("2 objects")
    expect(answers.nth(1).locator("[data-count]")).to_have_text("1 object")


def test_an_image_goes_on_to_a_dataset_and_a_golden_set(stand: Stand, page: Page, checkpoint: str, picture: Path) -> None:
    stand.send("/api/datasets/", {"name": "tried pictures", "task_type": "detection", "project": "ada"})
    for choose in ("New set…", "hard skies"):
        page.goto(f"/projects/ada/inference/?checkpoint={checkpoint}")
        page.set_input_files("#id_image", picture)
        keep = page.locator(".keep")
        expect(keep).to_be_visible(timeout=LOADING)
        keep.get_by_label("Dataset").select_option(label="tried pictures")
        name = keep.get_by_placeholder("Name of a new set")
        expect(name).to_be_hidden()
        expect(keep.get_by_label("Golden set")).to_have_value("none")
        keep.get_by_label("Golden set").select_option(label=choose)
        if choose == "New set…":
            name.fill("hard skies")
        keep.get_by_role("button", name="Add").click()
        expect(page.get_by_text("Draft of hard skies: 1 added.")).to_be_visible()
        assert "/datasets/" in page.url


def test_a_checkpoint_is_tested_where_a_class_has_another_name(
    stand: Stand, page: Page, checkpoint: str, picture: Path, tmp_path: Path
) -> None:
    truth = {
        "images": [{"id": 1, "file_name": picture.name, "width": 640, "height": 640}],
        "categories": [{"id": 1, "name": "feline"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [200, 220, 200, 200], "area": 40000, "iscrowd": 0}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    stand.manage("import_coco", "felines", str(tmp_path / "truth.json"), "--images", str(picture.parent))
    page.goto(f"/checkpoints/{checkpoint}/")
    page.get_by_role("link", name="Test", exact=True).click()
    page.locator("[name=split]").select_option(label="felines / val (1 images)")
    page.get_by_label("feline").fill("cat")
    page.get_by_role("button", name="Test").click()
    expect(page.locator(".tabs")).to_be_visible(timeout=LOADING)
    expect(page.locator("main")).to_contain_text("1.000")
    page.get_by_role("link", name="Protocol").click()
    expect(page.locator(".rule-list")).to_contain_text("cat became feline")


def test_where_a_classifier_looked_is_laid_over_the_image(stand: Stand, page: Page, picture: Path) -> None:
    for package in ("torch", "timm"):
        pytest.importorskip(package, reason="NO TORCH: classifiers are not looked into")
    weights = ROOT / "config" / "demo" / "weights" / "digits.pt"
    digits = stand.manage("register_checkpoint", str(weights), "--framework", "timm").splitlines()[-1]
    page.goto(f"/projects/ada/inference/?checkpoint={digits}")
    page.set_input_files("#id_image", picture)
    button = page.get_by_role("button", name="Where it looked")
    button.click(timeout=LOADING)
    heat = page.locator(".answer .heat")
    expect(heat).to_be_visible(timeout=LOADING)
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(heat).to_be_hidden()


def test_the_history_is_filtered_and_a_job_repeated(stand: Stand, page: Page, checkpoint: str) -> None:
    page.goto("/projects/ada/inference/jobs/")
    before = page.locator("tbody tr").count()
    page.select_option("[name=status]", "failed")
    expect(page).to_have_url(re.compile("status=failed"))
    expect(page.locator("tbody tr")).to_have_count(0)
    page.goto("/projects/ada/inference/jobs/")
    page.locator("tbody a").first.click()
    page.get_by_role("button", name="Repeat").click()
    page.goto("/projects/ada/inference/jobs/")
    expect(page.locator("tbody tr")).to_have_count(before + 1)
