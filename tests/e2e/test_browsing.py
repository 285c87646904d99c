"""Many images and crowded ones: what the pointer reaches, what is marked, and where one comes back to."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stand

IMAGES = 120
CATEGORIES = [{"id": 1, "name": "coin"}, {"id": 2, "name": "table"}, {"id": 3, "name": "people"}]
# On each image a coin, the table around it, and a crowd.
BOXES = [[40, 40, 20, 20], [10, 10, 150, 150], [200, 20, 80, 100]]


@pytest.fixture(scope="module")
def grid_url(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> str:
    images = [{"id": number, "file_name": f"{number:03}.jpg", "width": 320, "height": 240} for number in range(IMAGES)]
    annotations = [
        {
            "id": 3 * image["id"] + place,
            "image_id": image["id"],
            "category_id": place + 1,
            "bbox": box,
            "iscrowd": int(place == 2),
        }
        for image in images
        for place, box in enumerate(BOXES)
    ]
    path = tmp_path_factory.mktemp("tables") / "tables.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    stand.manage("import_coco", "Tables", str(path))
    return f"/datasets/{stand.ask('/api/datasets/?search=Tables')['results'][0]['id']}/"


@pytest.fixture
def sample(page: Page, grid_url: str) -> Page:
    page.goto(grid_url)
    page.locator(".sample-card").first.click()
    page.wait_for_selector("#stage svg.overlay g.truth", state="attached")
    return page


def centre_of(page: Page, place: int) -> tuple[float, float]:
    """Of a true box on the screen."""
    box = page.locator("#stage g.truth rect.line").nth(place).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_small_object_is_reached_below_a_large_one(sample: Page) -> None:
    sample.mouse.move(*centre_of(sample, 0))
    expect(sample.locator("#objects button.is-lit")).to_have_text("coin")


def test_a_drag_moves_the_image(sample: Page) -> None:
    x, y = centre_of(sample, 0)
    sample.mouse.move(x, y)
    sample.mouse.down()
    sample.mouse.move(x + 50, y + 30, steps=5)
    sample.mouse.up()
    assert centre_of(sample, 0) == pytest.approx((x + 50, y + 30), abs=1)


def test_a_click_is_no_drag(sample: Page) -> None:
    place = centre_of(sample, 0)
    sample.mouse.click(*place)
    assert centre_of(sample, 0) == pytest.approx(place)


def test_crowds_are_hatched(sample: Page) -> None:
    fills = sample.locator("#stage .hatched").evaluate_all("all => all.map((each) => getComputedStyle(each).fill)")
    assert [fill.startswith("url(") for fill in fills] == [True]
    expect(sample.locator("#objects")).to_contain_text("people (crowd)")


def test_names_appear_on_hover_in_the_grid(page: Page, grid_url: str) -> None:
    page.goto(grid_url)
    card = page.locator(".sample-card").nth(1)
    card.hover()
    expect(card.locator(".labels .label")).to_have_text(["coin", "table", "people"])
    page.locator(".sample-card").nth(2).hover()
    expect(card.locator(".labels")).to_have_count(0)


def load_all(page: Page, grid_url: str) -> None:
    """By scrolling on, as hands do."""
    page.goto(grid_url)
    while page.locator(".sample-card").count() < IMAGES:
        before = page.locator(".sample-card").count()
        page.locator(".sample-card").last.scroll_into_view_if_needed()
        expect(page.locator(".sample-card")).not_to_have_count(before)


def test_the_grid_goes_on_by_itself(page: Page, grid_url: str) -> None:
    load_all(page, grid_url)
    expect(page.locator(".more")).to_have_count(0)
    expect(page.locator("#grid svg.overlay")).to_have_count(IMAGES)


def test_coming_back_finds_the_grid_as_it_was(page: Page, grid_url: str) -> None:
    load_all(page, grid_url)
    card = page.locator(".sample-card").nth(110)
    card.scroll_into_view_if_needed()
    card.click()
    page.wait_for_url(re.compile("/samples/"))
    page.go_back()
    expect(page.locator(".sample-card")).to_have_count(IMAGES)
    expect(page.locator(".sample-card").nth(110)).to_be_in_viewport()


def test_a_filter_leaves_no_empty_fields_in_the_address(page: Page, grid_url: str) -> None:
    page.goto(grid_url)
    page.locator("#filter [name=category]").select_option(label="coin")
    page.wait_for_url(re.compile(r"\?category=\d+$"))


def test_the_filter_acts_at_once_also_where_nothing_fits(page: Page, grid_url: str) -> None:
    page.goto(f"{grid_url}?name=nothing&sort=name")
    expect(page.get_by_text("No image fits")).to_be_visible()
    page.locator("#filter [name=name]").fill("11")
    page.locator("#filter [name=name]").press("Tab")
    expect(page.locator(".sample-card")).to_have_count(11)
