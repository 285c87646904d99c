"""The frame of every page: theme, narrow screens, the keyboard alone."""

import pytest
from playwright.sync_api import Page, expect


def test_the_theme_is_remembered(page: Page) -> None:
    page.goto("/projects/")
    page.locator("[data-theme-toggle]").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_a_visit_to_the_admin_leaves_the_theme(page: Page) -> None:
    """Django's admin writes its own word for the system's theme under the same key."""
    page.emulate_media(color_scheme="dark")
    page.goto("/admin/")
    page.wait_for_function("localStorage.getItem('theme') === 'auto'")
    page.goto("/projects/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


@pytest.mark.parametrize("path", ["/", "/projects/", "/projects/new/", "/account/tokens/", "/account/password/"])
def test_pages_fit_a_telephone(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_palette_opens_by_keyboard_and_leads_there(page: Page) -> None:
    page.goto("/projects/")
    page.keyboard.press("Control+k")
    page.keyboard.type("tokens")
    expect(page.get_by_role("dialog").or_(page.locator("dialog[open]")).get_by_text("token").first).to_be_visible()


def test_a_page_can_be_used_without_a_mouse(page: Page) -> None:
    page.goto("/projects/new/")
    page.get_by_label("Name").focus()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("By keyboard")
