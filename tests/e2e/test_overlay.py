"""What is drawn on an image, and what the slider, the keys and the switches do to it."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Stand
from tests.e2e.files import BOXES, PICTURES, SCORES, shown_at, write_results, write_truth


@dataclass(frozen=True)
class Addresses:
    """Of the grid of a dataset with the runs `first` and `second`, and of its first image."""

    grid: str
    sample: str


@pytest.fixture(scope="module")
def overlays(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Addresses:
    folder: Path = tmp_path_factory.mktemp("squares")
    stand.manage("import_coco", "Overlays", str(write_truth(folder)), "--images", str(folder / "images"))
    results = str(write_results(folder))
    for name in ("first", "second"):
        stand.manage("import_predictions", "overlays", results, "--name", name)
    dataset = stand.ask("/api/datasets/?search=Overlays")["results"][0]["id"]
    sample = stand.ask(f"/api/datasets/{dataset}/samples/")["results"][0]["id"]
    return Addresses(f"/datasets/{dataset}/", f"/datasets/{dataset}/samples/{sample}/")


@pytest.fixture
def grid(page: Page, overlays: Addresses) -> Page:
    page.goto(overlays.grid)
    return page


@pytest.fixture
def sample(page: Page, overlays: Addresses) -> Page:
    page.goto(overlays.sample)
    page.wait_for_selector("#stage svg.overlay g.predicted", state="attached")
    return page


def drawn(page: Page, layer: str) -> Locator:
    """The objects of a layer that can be seen on the image."""
    return page.locator(f"#stage g.{layer} > g:visible")


def slide_to(page: Page, confidence: float) -> None:
    """By hand, as far as a browser's test has hands: the value, and the event that a drag makes."""
    page.locator("#confidence").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})); "
        "slider.dispatchEvent(new Event('change', {bubbles: true})); }",
        str(confidence),
    )


def test_the_grid_shows_every_image_with_its_labels(grid: Page) -> None:
    expect(grid.locator("#grid a[data-sample]")).to_have_count(PICTURES)
    expect(grid.locator("#grid a[data-sample] svg rect.line").first).to_be_visible()


def test_thumbnails_come_small(grid: Page) -> None:
    picture = grid.locator("#grid img").first
    expect(picture).to_have_js_property("complete", True)
    assert "/thumb/" in (picture.get_attribute("src") or "")


def test_truth_is_drawn_where_the_file_has_it(sample: Page) -> None:
    boxes = sample.locator("#stage g.truth rect.line")
    found = [
        [float(boxes.nth(place).get_attribute(side) or "nan") for side in ("x", "y", "width", "height")] for place in range(2)
    ]
    assert found == BOXES


@pytest.mark.parametrize("confidence", [0.0, 0.25, 0.5, 0.95])
def test_the_slider_decides_what_is_drawn(sample: Page, confidence: float) -> None:
    expect(drawn(sample, "predicted")).to_have_count(shown_at(0.25))
    slide_to(sample, confidence)
    expect(drawn(sample, "predicted")).to_have_count(shown_at(confidence))
    expect(drawn(sample, "truth")).to_have_count(len(BOXES))


def test_the_slider_moves_by_keyboard(sample: Page) -> None:
    sample.locator("#confidence").focus()
    sample.keyboard.press("Home")
    expect(drawn(sample, "predicted")).to_have_count(len(SCORES))
    sample.keyboard.press("End")
    expect(drawn(sample, "predicted")).to_have_count(0)


def test_the_address_holds_the_confidence(sample: Page) -> None:
    slide_to(sample, 0.5)
    sample.wait_for_url(re.compile(r"conf=0\.5"))
    sample.reload()
    expect(drawn(sample, "predicted")).to_have_count(shown_at(0.5))


def test_truth_can_be_switched_off_by_key(sample: Page) -> None:
    sample.keyboard.press("g")
    expect(drawn(sample, "truth")).to_have_count(0)
    sample.keyboard.press("g")
    expect(drawn(sample, "truth")).to_have_count(len(BOXES))


def test_several_runs_stand_side_by_side(sample: Page) -> None:
    slide_to(sample, 0)
    sample.locator(".run-picker summary").click()
    for box in sample.locator(".run-picker input[type=checkbox]").all():
        box.check()
    sample.get_by_role("button", name="Show these").click()
    expect(sample.locator("#stage g.predicted")).to_have_count(2)
    dashes = [
        sample.locator(f"#stage g.dash-{number} rect.line").first.evaluate("line => getComputedStyle(line).strokeDasharray")
        for number in (1, 2)
    ]
    assert len(set(dashes)) == 2 and "none" not in dashes


def test_truth_is_solid(sample: Page) -> None:
    line = sample.locator("#stage g.truth rect.line").first
    assert line.evaluate("line => getComputedStyle(line).strokeDasharray") == "none"


def test_arrows_lead_to_the_neighbours_and_back(sample: Page) -> None:
    first = sample.get_by_role("heading", level=1).inner_text()
    sample.keyboard.press("ArrowRight")
    expect(sample.get_by_role("heading", level=1)).not_to_have_text(first)
    sample.keyboard.press("ArrowLeft")
    expect(sample.get_by_role("heading", level=1)).to_have_text(first)


def test_neighbours_keep_the_confidence(sample: Page) -> None:
    slide_to(sample, 0.5)
    sample.keyboard.press("ArrowRight")
    sample.wait_for_url(re.compile(r"conf=0\.5"))
    expect(drawn(sample, "predicted")).to_have_count(shown_at(0.5))


def test_hovering_the_list_lights_the_object(sample: Page) -> None:
    sample.locator("#objects li button").first.hover()
    expect(sample.locator("#stage g.truth > g.is-lit")).to_have_count(1)


def test_hovering_the_object_lights_the_list(sample: Page) -> None:
    place = sample.locator("#stage g.truth rect.line").first.bounding_box()
    assert place
    sample.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    expect(sample.locator("#objects button.is-lit")).to_have_count(1)


def test_zoom_by_key_makes_the_image_larger(sample: Page) -> None:
    before = sample.locator(".stage-content").bounding_box()
    sample.keyboard.press("+")
    after = sample.locator(".stage-content").bounding_box()
    assert before and after and after["width"] > before["width"] * 1.2


def test_the_question_mark_lists_the_keys(sample: Page) -> None:
    sample.keyboard.press("?")
    expect(sample.locator("dialog[open]")).to_contain_text("ground truth")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_classes_are_the_same_in_both_themes(sample: Page, theme: str) -> None:
    if theme == "dark":
        sample.locator("[data-theme-toggle]").click()
    colours = {line.get_attribute("stroke") for line in sample.locator("#stage rect.line").all()}
    assert len(colours) == 2


def test_the_sample_page_fits_a_telephone(sample: Page) -> None:
    sample.set_viewport_size({"width": 390, "height": 844})
    expect(sample.locator("#stage img")).to_be_visible()
    assert sample.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_grid_fits_a_telephone(grid: Page) -> None:
    grid.set_viewport_size({"width": 390, "height": 844})
    expect(grid.locator("#grid a[data-sample]").first).to_be_visible()
    assert grid.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_filter_without_images_says_what_to_do(grid: Page) -> None:
    grid.goto(f"{grid.url}?name=nothing-like-this")
    expect(grid.get_by_role("link", name="Show all images")).to_be_visible()
