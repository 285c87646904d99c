"""`manage.py up`, for real: everything runs, falls and comes back, and nothing is left of it."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.embedded import postgres, redis

ROOT = Path(__file__).resolve().parents[2]
# Generous: a busy machine may take long to import Django eight times over.
SECONDS = 90


class Up:
    """A running `manage.py up` with its lines so far."""

    def __init__(self, data_dir: Path, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "up", "--port", str(self.port), "--workers", "1", *arguments],
            # Somewhere else: it has to find its own parts.
            cwd="/",
            env=os.environ | {"TOUCHSTONE_DATA": str(data_dir), "DATABASE_URL": "", "REDIS_URL": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.extend(self.process.stdout)

    def says(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def await_line(self, words: str) -> None:
        wait_for(lambda: self.says(words), self)

    def answer(self, path: str) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return json.load(response)

    def is_ready(self) -> bool:
        try:
            return self.answer("/readyz")["status"] == "ready"
        except OSError:
            return False

    def tree(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def child(self, *words: str) -> psutil.Process:
        """The child of `up` itself with these words on its command line."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if set(words) <= set(child.cmdline()))


def wait_for(condition: Callable[[], bool], up: Up) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "".join(up.lines)
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def assert_all_end(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert [process.cmdline() for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "data"


@pytest.fixture
def up(data_dir: Path) -> Iterator[Up]:
    """Ready, with workers; what a failed test leaves of it is ended."""
    started = Up(data_dir)
    started.await_line("Touchstone is ready at http://localhost:")
    wait_for(started.is_ready, started)
    tree = started.tree()
    yield started
    for process in tree:
        if process.is_running():
            process.kill()
    started.process.wait()


def test_at_ctrl_c_it_ends_all_of_it(up: Up) -> None:
    tree = up.tree()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(30) == 0
    assert_all_end(tree)


def test_killed_it_leaves_nothing_behind(up: Up) -> None:
    tree = up.tree()
    # Among them: servers, the web server's workers, and the pools of the queues' workers.
    assert len(tree) > 12
    up.process.kill()
    assert_all_end(tree)


def test_what_falls_comes_back(up: Up, data_dir: Path) -> None:
    fallen = [up.child("granian"), up.child("celery", "cpu"), up.child("celery", "gpu"), up.child("celery", "beat")]
    servers = [psutil.Process(server.process_id(data_dir)) for server in (postgres, redis)]
    parts = [part for process in fallen for part in process.children(recursive=True)]
    for process in [*servers, *fallen]:
        process.kill()
    assert_all_end([*servers, *fallen, *parts])
    wait_for(lambda: up.says("postgres has ended") and up.says("redis has ended"), up)
    wait_for(up.is_ready, up)
    again = up.tree()
    up.process.kill()
    assert_all_end(again)


def test_a_second_one_on_the_same_data_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with (tmp_path / "up.lock").open("a") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = Up(tmp_path)
        assert second.process.wait(30) == 1
        second.await_line("Another 'manage.py up' runs on")


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = Up(tmp_path / "data", "--port", str(taken.getsockname()[1]))
        assert other.process.wait(30) == 1
        other.await_line("Choose another with --port")
    assert not (tmp_path / "data" / "postgres").exists()


def test_servers_of_another_command_stay_when_it_ends(data_dir: Path) -> None:
    postgres.ensure_running(data_dir)
    try:
        up = Up(data_dir)
        up.await_line("started by another command")
        up.await_line("Touchstone is ready")
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(30) == 0
        assert (postgres.process_id(data_dir) is None, redis.process_id(data_dir)) == (False, None)
    finally:
        postgres.stop(data_dir)


def test_a_server_that_cannot_start_ends_it_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    (tmp_path / "data" / "postgres" / "PG_VERSION").write_text("11\n")
    up = Up(tmp_path / "data")
    assert up.process.wait(30) == 1
    up.await_line("are of PostgreSQL 11")
