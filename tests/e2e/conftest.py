"""A real browser before the whole of Touchstone: `manage.py up` on a data folder of its own, with its servers and workers.

Without Chromium these tests are skipped, loudly; with TOUCHSTONE_REQUIRE_BROWSER=1 that is a failure.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
USERNAME, PASSWORD = "ada", "correct horse battery"
READY_SECONDS, STOP_SECONDS = 90, 30
CHROMIUM = os.environ.get("TOUCHSTONE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
NO_CHROMIUM = "NO CHROMIUM: the browser tests did not run. Install Debian's chromium, or set TOUCHSTONE_CHROMIUM to one."


@dataclass
class Stand:
    """A running Touchstone: where it answers and where its data lie."""

    address: str
    data: Path
    token: str = ""

    def manage(self, *words: str, **environment: str) -> str:
        """What `manage.py` says to these words."""
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(command, cwd=ROOT, env=own_environment(self.data) | environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def send(self, path: str, body: dict[str, Any]) -> Any:
        """POST to the API; the answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def ask(self, path: str) -> Any:
        """What the API answers to the first user."""
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def own_environment(data: Path) -> dict[str, str]:
    """No address of a server, no setting of the developer's: everything is this stand's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TOUCHSTONE_", "DATABASE_URL", "REDIS_URL"))}
    return kept | {"TOUCHSTONE_DATA": str(data), "TOUCHSTONE_LOG_LEVEL": "INFO"}


@pytest.fixture(scope="package")
def chromium() -> str:
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("TOUCHSTONE_REQUIRE_BROWSER") == "1" else pytest.skip)(NO_CHROMIUM)
    return CHROMIUM


@pytest.fixture(scope="package")
def stand(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    data = tmp_path_factory.mktemp("stand")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (data / "up.log").open("w")
    command = [sys.executable, "manage.py", "up", "--port", str(port), "--workers", "1"]
    # A webhook's other side is on this machine too.
    environment = own_environment(data) | {"TOUCHSTONE_WEBHOOK_PRIVATE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    made = Stand(f"http://127.0.0.1:{port}", data)
    try:
        wait_until_ready(made, process)
        made.manage("createsuperuser", "--noinput", "--username", USERNAME, "--email", "", DJANGO_SUPERUSER_PASSWORD=PASSWORD)
        made.token = made.manage("create_token", USERNAME).strip()
        yield made
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def wait_until_ready(stand: Stand, process: "subprocess.Popen[bytes]") -> None:
    """Until database, broker and workers answer."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{stand.address}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"'manage.py up' did not get ready. Its log ends:\n{(stand.data / 'up.log').read_text()[-4000:]}")


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def session(browser: Browser, stand: Stand) -> Any:
    """The cookies of somebody who logged in by the page for it."""
    context = browser.new_context(base_url=stand.address)
    page = context.new_page()
    page.goto("/projects/")
    page.fill("[name=username]", USERNAME)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url("**/projects/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser: Browser, stand: Stand, session: Any) -> Iterator[Page]:
    """A logged-in page. A script error, a breach of the content security policy or a broken answer fails the test."""
    context = browser.new_context(
        base_url=stand.address, storage_state=session, viewport={"width": 1280, "height": 800}, color_scheme="light"
    )
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("console", lambda message: faults.extend(faults_in(message)))
    page.on("response", lambda response: faults.append(f"{response.status} {response.url}") if response.status >= 500 else None)
    yield page
    context.close()
    assert faults == []


def faults_in(message: ConsoleMessage) -> list[str]:
    return [f"console: {message.text}"] if message.type == "error" else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skip that nobody sees is a test that nobody misses."""
    if CHROMIUM is None:
        terminalreporter.write_line(NO_CHROMIUM, red=True, bold=True)
