"""A channel, a rule and a gate made in a browser; a training breaks them, and somebody is told: the page, and the other side."""

import hashlib
import hmac
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stand
from tests.fakes.receiver import Receiver

JOB, ITEMS = "watched", 30
# The watch looks every ten seconds, and so does the hand that sends.
TOLD_SECONDS = 60


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.close()


@pytest.fixture(scope="module")
def job(stand: Stand) -> int:
    """A training that is asked a set of its own."""
    made = stand.send("/api/training/jobs/", {"job_id": JOB, "name": "Watched"})
    items = [
        {"item_key": f"sum-{index}", "sample_index": index, "prompt": f"{index} + 1 =", "references": [str(index + 1)]}
        for index in range(ITEMS)
    ]
    stand.send(f"/api/training/jobs/{JOB}/sets/", {"name": "sums", "items": items})
    return int(made["id"])


def answer(stand: Stand, epoch: int, *, right: int) -> None:
    """All questions at once, so many of them right."""
    rows = [
        {
            "sample_index": index, "item_key": f"sum-{index}", "prompt": f"{index} + 1 =", "ground_truth": str(index + 1),
            "prediction": str(index + 1) if index < right else "I do not know",
        }
        for index in range(ITEMS)
    ]  # fmt: skip
    firing = {"job_id": JOB, "epoch": epoch, "step": epoch * 10, "prediction_set": "sums", "predictions": rows}
    assert stand.send("/api/training/predictions/", firing)["stored"] == ITEMS


def test_a_score_that_falls_is_told(stand: Stand, page: Page, job: int, receiver: Receiver) -> None:
    page.goto(f"/training/{job}/")
    page.get_by_role("link", name="Alerts and gates").click()
    page.get_by_role("link", name="Channels").click()
    page.fill("[name=name]", "the team")
    page.select_option("[name=kind]", label="Webhook")
    page.fill("[name=target]", receiver.url)
    page.get_by_role("button", name="Add").click()
    secret = page.locator("#new-secret").inner_text()

    page.get_by_role("button", name="Send a test").click()
    receiver.wait_for(1, TOLD_SECONDS)
    _, headers, body = receiver.requests[0]
    signed = hmac.new(secret.encode(), headers["Touchstone-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["Touchstone-Signature"] == f"v1={signed}"
    expect(page.get_by_text("thank you")).to_be_visible(timeout=TOLD_SECONDS * 1000)

    page.get_by_role("link", name="Rules").first.click()
    page.get_by_role("link", name="New rule").first.click()
    page.fill("[name=name]", "no steps back")
    page.select_option("[name=job]", label="Watched")
    page.select_option("[name=kind]", value="previous")
    page.select_option("[name=metric]", value="exact_match")
    page.fill("[name=threshold]", "0.2")
    page.get_by_label("the team").check()
    page.get_by_role("button", name="Make the rule").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("no steps back")

    answer(stand, 1, right=ITEMS)
    answer(stand, 2, right=5)
    receiver.wait_for(2, TOLD_SECONDS)
    assert "no steps back" in receiver.requests[1][2].decode()

    page.get_by_role("link", name=re.compile("Alerts and gates")).click()
    raised = page.locator("main").get_by_role("link", name=re.compile("Exact match", re.IGNORECASE)).first
    expect(raised).to_be_visible()
    expect(page.locator(".rail-count")).to_contain_text("1")
    page.goto(f"/training/{job}/")
    expect(page.locator(".alert-banner")).to_contain_text(re.compile("Exact match", re.IGNORECASE))

    # The score is back: the alert resolves by itself.
    answer(stand, 3, right=ITEMS)
    expect(page.locator(".alert-banner")).to_have_count(0, timeout=TOLD_SECONDS * 1000)


def test_a_gate_says_whether_it_may_ship(stand: Stand, page: Page, job: int) -> None:
    answer(stand, 4, right=ITEMS)
    answer(stand, 5, right=3)
    page.goto(f"/training/{job}/")
    page.get_by_role("link", name=re.compile("Alerts and gates")).click()
    page.get_by_role("link", name="Gates", exact=True).click()
    page.get_by_role("link", name="New gate").first.click()
    page.fill("[name=name]", "release")
    page.select_option("[name=job]", label="Watched")
    line = page.locator(".gate-lines tbody tr").first
    line.locator("select").select_option(value="exact_match")
    line.locator("[name$=limit]").fill("0.8")
    page.get_by_role("button", name="Make the gate").click()
    expect(page.get_by_text("Nothing was checked yet")).to_be_visible()

    for epoch, outcome in ((4, "Pass"), (5, "Fail")):
        page.locator("#check-run").select_option(label=next(each for each in runs_of(page) if f"epoch {epoch}" in each))
        page.get_by_role("button", name="Check", exact=True).click()
        newest = page.locator("#history li").first
        expect(newest.locator(".alert-state")).to_have_text(re.compile(outcome, re.IGNORECASE))
        expect(newest.locator(".gate-reasons")).to_contain_text("Exact match")

    assert stand.send("/api/gates/release/check/", {"job_id": JOB, "epoch": 5})["outcome"] == "fail"
    page.reload()
    expect(page.locator("#history > ul > li")).to_have_count(3)


def runs_of(page: Page) -> list[str]:
    return page.locator("#check-run option").all_inner_texts()
