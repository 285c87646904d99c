"""A golden set in a browser: items typed in, published, edited in their row, and what changed between the versions."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stand


def add_item(page: Page, prompt: str, reference: str, *, then: str) -> None:
    page.locator("[name=prompt]").fill(prompt)
    page.locator("[name=references]").first.fill(reference)
    page.get_by_role("button", name=then, exact=True).click()
    expect(page.locator("#toasts")).to_contain_text("The item is in the draft.")


def test_edit_publish_and_compare(stand: Stand, page: Page) -> None:
    page.goto("/projects/")
    page.get_by_role("link", name="Sets", exact=True).click()
    page.get_by_role("link", name="New golden set").first.click()
    page.fill("[name=name]", "golden")
    page.get_by_role("button", name="Make the set").click()
    expect(page.get_by_text("The draft is empty")).to_be_visible()

    page.get_by_role("link", name="Add item").click()
    add_item(page, "2 + 2 =", "4", then="Add, then another")
    add_item(page, "3 + 3 =", "7", then="Add to the draft")
    page.get_by_role("link", name="Publish").click()
    page.get_by_role("button", name="Publish version 1").click()
    expect(page.locator(".timeline [aria-current]")).to_contain_text("Version 1")

    page.get_by_role("button", name="Edit in a draft").click()
    row = page.locator("tr", has_text="3 + 3 =")
    row.get_by_role("link", name="Edit").click()
    form = page.locator(".item-form")
    form.locator("[name=references]").first.fill("6")
    form.get_by_text("Examples of validators").click()
    form.get_by_role("button", name="max_length").click()
    expect(form.locator("[name=validators]")).to_have_value(re.compile('"max_length"'))
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(row).to_contain_text("max_length: 200")

    # Ticking shows what can be done with it; nothing else does.
    bar = page.locator("[data-selection-bar]")
    expect(bar).to_be_hidden()
    row.locator("[data-select]").check()
    expect(bar).to_contain_text("1 selected")
    row.locator("[data-select]").uncheck()

    page.get_by_role("link", name="Publish").click()
    expect(page.locator(".diff-list")).to_contain_text("References")
    page.fill("[name=note]", "A sum corrected")
    page.get_by_role("button", name="Publish version 2").click()
    expect(page.locator(".timeline")).to_contain_text("A sum corrected")

    page.get_by_role("link", name="what changed").first.click()
    changed = page.locator(".diff-list article")
    expect(changed).to_have_count(1)
    expect(changed.locator("del")).to_have_text("7")
    expect(changed.locator("ins").first).to_have_text("6")
    found = stand.ask("/api/sets/?search=golden")["results"]
    assert [(each["latest"], each["latest_items"], each["has_draft"]) for each in found] == [(2, 2, False)]
