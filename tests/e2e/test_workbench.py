"""From a file to a picture: what a person does with their files, from the first page to the overlay."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.files import BOXES, PICTURES, shown_at, write_archive, write_results

TRUE_BOXES = PICTURES * len(BOXES)


def test_from_a_file_to_a_picture(page: Page, tmp_path: Path) -> None:
    make_dataset(page, "Squares")
    send(page, write_archive(tmp_path))

    report = page.locator("#import-state")
    expect(report).to_contain_text(re.compile(r"1 of \d+ rows do not fit"))
    expect(report.locator(".problem[open]")).to_contain_text("424242")
    page.get_by_role("button", name=re.compile("^Import ")).click()
    expect(report.get_by_role("status")).to_contain_text(f"{PICTURES} images and {TRUE_BOXES} annotations")

    page.get_by_role("link", name="Import predictions").first.click()
    page.locator("[name=name]").fill("epoch-12")
    send(page, write_results(tmp_path))
    expect(report).to_contain_text("verything fits")
    page.get_by_role("button", name=re.compile("^Import ")).click()
    expect(report.get_by_role("status")).to_contain_text("epoch-12")

    page.get_by_role("link", name="See the images").click()
    expect(page.locator("#grid a[data-sample]")).to_have_count(PICTURES)
    page.locator("#grid a[data-sample]").first.click()
    predicted = page.locator("#stage g.predicted > g:visible")
    expect(page.locator("#stage g.truth > g:visible")).to_have_count(len(BOXES))
    expect(predicted).to_have_count(shown_at(0.25))
    page.locator("#confidence").focus()
    page.keyboard.press("Home")
    expect(predicted).to_have_count(shown_at(0))
    page.keyboard.press("End")
    expect(predicted).to_have_count(0)


def test_a_file_that_is_nothing_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": [{"id": 1, ')
    make_dataset(page, "Broken")
    send(page, broken)
    state = page.locator("#import-state")
    expect(state.get_by_role("status")).to_be_visible()
    expect(state).to_contain_text("Nothing was stored")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_the_import_page_fits_a_telephone(page: Page) -> None:
    make_dataset(page, "Narrow")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("button", name="Look at it")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def make_dataset(page: Page, name: str) -> None:
    """Ends on the page that asks for its first file."""
    page.goto("/")
    page.locator("#rail").get_by_role("link", name="Datasets").click()
    page.get_by_role("link", name="New dataset").first.click()
    page.locator("[name=name]").fill(name)
    page.locator("[name=name]").press("Enter")
    page.wait_for_url(re.compile("/import/"))


def send(page: Page, file: Path) -> None:
    """Upload it and have the doctor look at it."""
    page.locator("#id_file").set_input_files(file)
    expect(page.locator("[data-upload]").first).to_have_attribute("data-state", "done", timeout=20_000)
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator("#import-state .report, #import-state .ending").first).to_be_visible(timeout=30_000)
