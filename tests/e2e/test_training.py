"""A real training against a real server: its trends fall, and a server that dies in the middle costs neither it nor a row."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import ROOT, Stand, own_environment, wait_until_ready

CLIENT = ROOT / "client"
PYTHON = Path(os.environ.get("TOUCHSTONE_CLIENT_PYTHON") or CLIENT / ".venv" / "bin" / "python")
# Not the address of a virtual environment's interpreter, but the environment itself says whether it is there.
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="NO CLIENT ENVIRONMENT: run 'make client-setup' first")
TRAINING_SECONDS = 240
EPOCHS, PROMPTS = 6, 24


def train(stand: Stand, job_id: str, folder: Path) -> "subprocess.Popen[str]":
    """The example of the repository, shortened. Not from its root, where our app `datasets` would shadow the package."""
    environment = own_environment(folder) | {
        "PYTHONPATH": str(CLIENT / "src"), "TOUCHSTONE_URL": stand.address, "TOUCHSTONE_TOKEN": stand.token,
        "TOUCHSTONE_JOB_ID": job_id, "TOUCHSTONE_DIR": str(folder / "spool"), "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    command = [str(PYTHON), str(CLIENT / "examples" / "learn_dates.py"), "--cpu", "--rows", "1500", "--epochs", str(EPOCHS)]
    command += ["--prompts", str(PROMPTS), "--learning-rate", "2e-3", "--schedule", "constant"]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(training: "subprocess.Popen[str]") -> None:
    said, _ = training.communicate(timeout=TRAINING_SECONDS)
    assert training.returncode == 0, said[-3000:]


def answers(stand: Stand, job_id: str) -> Counter[tuple[float, str]]:
    found = stand.ask(f"/api/training/predictions/{job_id}/?limit=500")["predictions"]
    return Counter((row["epoch"], row["item_key"]) for row in found)


def test_a_training_fills_the_pages(stand: Stand, page: Page, tmp_path: Path) -> None:
    job = stand.send("/api/training/jobs/", {"job_id": "dates", "name": "Dates"})
    page.goto(f"/training/{job['id']}/")
    expect(page.get_by_text("Waiting for the training")).to_be_visible()
    training = train(stand, "dates", tmp_path)
    # The page that somebody left open fills by itself while it runs.
    expect(page.locator("#job-head")).to_contain_text("Running", timeout=60_000)
    expect(page.locator(".trend").first).to_be_visible(timeout=60_000)
    finished(training)
    expect(page.locator("#job-head")).to_contain_text("Completed", timeout=20_000)
    assert page.locator("#job-head[hx-get]").count() == 0
    trends = stand.ask("/api/training/predictions/dates/trends/")
    rates = [row["avg_char_error_rate"] for row in trends["trends"]]
    assert (len(rates), rates[-1] < rates[0] / 2, trends["overall_improvement"] > 50) == (EPOCHS, True, True), rates
    found = answers(stand, "dates")
    assert len(found) == EPOCHS * PROMPTS and set(found.values()) == {1}


def test_an_item_is_followed_by_keyboard(stand: Stand, page: Page) -> None:
    rows = stand.ask("/api/training/predictions/dates/?limit=1")["predictions"]
    job = stand.ask("/api/training/jobs/dates/")
    page.goto(f"/training/{job['id']}/items/{rows[0]['item_key']}/")
    current = page.locator("#moment .strip a[aria-current]")
    expect(current).to_contain_text(str(EPOCHS))
    page.keyboard.press("ArrowLeft")
    expect(current).to_contain_text(str(EPOCHS - 1))
    expect(page).to_have_url(re.compile(r"run=\d+"))
    page.keyboard.press("w")
    expect(page.locator(".said .blank").first).to_be_visible()


# --- A server that dies ------------------------------------------------------------------------------------------------------
def start(stand: Stand) -> "subprocess.Popen[bytes]":
    port = stand.address.rsplit(":", 1)[1]
    with (stand.data / "up.log").open("a") as log:
        command = [sys.executable, "manage.py", "up", "--port", port, "--workers", "1"]
        return subprocess.Popen(command, cwd=ROOT, env=own_environment(stand.data), stdout=log, stderr=log)


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory, stand: Stand) -> Iterator[tuple[Stand, "subprocess.Popen[bytes]"]]:
    """A stand of this test's own, whose death nobody else notices."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own = Stand(f"http://127.0.0.1:{probe.getsockname()[1]}", tmp_path_factory.mktemp("mortal"))
    process = start(own)
    try:
        wait_until_ready(own, process)
        own.manage(
            "createsuperuser",
            "--noinput",
            "--username",
            "ada",
            "--email",
            "",
            DJANGO_SUPERUSER_PASSWORD="correct horse battery",
        )
        own.token = own.manage("create_token", "ada").strip()
        yield own, process
    finally:
        # The one that runs last: the test may have started another.
        own.manage("services", "stop") if process.poll() is not None else process.send_signal(signal.SIGINT)


def test_a_killed_server_costs_neither_the_training_nor_a_row(
    mortal: tuple[Stand, "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    stand, process = mortal
    training = train(stand, "hardy", tmp_path)
    until = time.monotonic() + 90
    while not epochs(stand, "hardy") and time.monotonic() < until:
        time.sleep(0.2)
    assert epochs(stand, "hardy") >= 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished(training)  # it never noticed
    again = start(stand)
    try:
        wait_until_ready(stand, again)
        environment = own_environment(tmp_path) | {
            "PYTHONPATH": str(CLIENT / "src"),
            "TOUCHSTONE_URL": stand.address,
            "TOUCHSTONE_TOKEN": stand.token,
        }
        for _ in range(2):  # the second time sends nothing
            command = [str(PYTHON), "-m", "touchstone_client.cli", "sync", str(tmp_path / "spool")]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
        found = answers(stand, "hardy")
        assert len(found) == EPOCHS * PROMPTS and set(found.values()) == {1}
        assert stand.ask("/api/training/jobs/hardy/")["status"] == "completed"
    finally:
        again.send_signal(signal.SIGINT)
        again.wait(60)


def epochs(stand: Stand, job_id: str) -> int:
    try:
        return len(stand.ask(f"/api/training/predictions/{job_id}/epochs/")["epochs"])
    except (OSError, urllib.error.HTTPError):
        return 0
