"""A test run in a browser: made by one click, its slider moves numbers and gallery, a cell of the confusion matrix opens."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stand
from tests.e2e.files import PICTURES, write_results, write_truth


@pytest.fixture(scope="module")
def dataset(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> int:
    folder: Path = tmp_path_factory.mktemp("judged")
    stand.manage("import_coco", "Judged", str(write_truth(folder)), "--images", str(folder / "images"))
    stand.manage("import_predictions", "judged", str(write_results(folder)), "--name", "only")
    return stand.ask("/api/datasets/?search=Judged")["results"][0]["id"]


def figure(page: Page, name: str) -> str:
    return page.locator("#point-figures > div", has_text=name).locator("dd").inner_text()


def test_from_a_run_to_the_objects_behind_a_number(page: Page, dataset: int) -> None:
    page.goto(f"/datasets/{dataset}/runs/")
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#point-figures")).to_be_visible(timeout=30_000)  # a worker has judged it
    page.wait_for_load_state("networkidle")

    slider, number = page.get_by_label("Confidence").first, page.locator("[data-point-number]")
    slider.focus()
    slider.fill("0")
    expect(page).to_have_url(re.compile(r"confidence=0\b"))
    wrong = int(figure(page, "Wrong"))
    shown = page.locator(".crop").count()
    slider.fill("0.95")
    expect(page).to_have_url(re.compile(r"confidence=0\.95"))
    assert int(figure(page, "Wrong")) == 0 < wrong
    expect(page.locator(".crop")).to_have_count(0)
    assert shown > 0

    number.fill("0.5")
    number.press("Enter")
    expect(page).to_have_url(re.compile(r"confidence=0\.5\b"))
    page.get_by_label("Test run", exact=True).get_by_role("link", name="Confusion").click()
    expect(page).to_have_url(re.compile(r"/confusion/\?confidence=0\.5"))
    cell = page.locator("a.heat").first
    count = int(cell.inner_text())
    cell.click()
    expect(page.locator(".crop")).to_have_count(count)
    expect(page.locator(".crop img").first).to_have_js_property("complete", True)
    assert 0 < count <= 2 * PICTURES


def test_charts_and_reconciliation_are_drawn(page: Page, stand: Stand, dataset: int) -> None:
    key = stand.ask(f"/api/inference/test-runs/?dataset={dataset}")["results"][0]["id"]
    page.goto(f"/tests/{key}/curves/")
    page.wait_for_load_state("networkidle")
    for canvas in page.locator("canvas").all():
        assert canvas.evaluate(
            "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
        )
    page.goto(f"/tests/{key}/protocol/")
    expect(page.get_by_text("COCO to Pascal VOC")).to_be_visible(timeout=20_000)
