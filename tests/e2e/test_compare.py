"""Two runs compared in a browser: picked, swapped, filtered, and one of the items opened."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stand


def answer(stand: Stand, job_id: str, epoch: int, said: list[str]) -> None:
    rows = [
        {"sample_index": n, "prompt": f"question {n}", "ground_truth": "the right answer", "prediction": text}
        for n, text in enumerate(said)
    ]
    body = {"job_id": job_id, "epoch": epoch, "step": epoch * 10, "predictions": rows}
    assert stand.send("/api/training/predictions/", body)["rejected"] == []


@pytest.fixture(scope="module")
def job(stand: Stand) -> dict[str, Any]:
    """In the second epoch four answers are better, one is worse, and three are the same."""
    found: dict[str, Any] = stand.send("/api/training/jobs/", {"job_id": "compared", "name": "compared"})
    right, wrong = "the right answer", "the wrong answer"
    answer(stand, "compared", 1, [wrong] * 4 + [right] * 4)
    answer(stand, "compared", 2, [right] * 4 + [wrong] + [right] * 3)
    return found


def test_pick_swap_filter_open(stand: Stand, page: Page, job: dict[str, Any]) -> None:
    page.goto(f"/training/{job['id']}/runs/")
    page.get_by_role("link", name="Compare").last.click()
    # The first epoch is the baseline; a candidate is found by its words.
    search = page.get_by_role("searchbox", name="Search runs")
    search.fill("compared 2")
    choice = page.locator("#run-choices").get_by_role("link", name=re.compile("epoch 2"))
    expect(choice).to_have_count(1)
    expect(page.locator("#run-choices .rows li")).to_have_count(1)
    choice.click()
    expect(page.locator(".verdict-sentence")).to_contain_text("4 better, 1 worse, 3 the same: not decisive (p = 0.38)")

    page.get_by_role("link", name="Swap baseline and candidate").click()
    expect(page.locator(".verdict-sentence")).to_contain_text("1 better, 4 worse, 3 the same")
    page.go_back()

    page.locator(".count", has_text="regressed").click()
    expect(page.locator(".answers tbody tr")).to_have_count(1)
    expect(page.locator(".answers del").first).to_have_text("right")
    expect(page).to_have_url(re.compile("show=regressed"))
    page.get_by_role("link", name="Character error rate").click()
    expect(page.locator(".verdict-what").first).to_have_text("Character error rate")
    page.reload()  # the address holds all of it
    expect(page.locator(".answers tbody tr")).to_have_count(1)
    page.locator(".answers tbody a").first.click()
    expect(page.locator("#moment")).to_be_visible()


def test_the_matrix_leads_to_an_item(stand: Stand, page: Page, job: dict[str, Any]) -> None:
    page.goto(f"/training/{job['id']}/runs/")
    page.get_by_role("link", name="Matrix").click()
    expect(page.locator(".matrix tbody tr")).to_have_count(8)
    page.locator(".matrix .cell[data-outcome=wrong]").first.click()
    expect(page.locator("#moment")).to_be_visible()
