"""`manage.py services`, and what commands say where a server cannot run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.embedded import postgres, redis

ROOT = Path(__file__).resolve().parents[2]


def manage(data_dir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"TOUCHSTONE_DATA": str(data_dir), "DATABASE_URL": "", "REDIS_URL": ""}
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_start_status_stop(tmp_path: Path) -> None:
    try:
        manage(tmp_path / "data", "services", "start")
        status = manage(tmp_path / "data", "services", "status").stdout
        ids = postgres.process_id(tmp_path / "data"), redis.process_id(tmp_path / "data")
        assert status == f"postgres: running, process {ids[0]}\nredis: running, process {ids[1]}\n"
    finally:
        stopped = manage(tmp_path / "data", "services", "stop").stdout
    assert stopped == "postgres: stopped\nredis: stopped\n"


def test_asking_for_the_status_starts_nothing(tmp_path: Path) -> None:
    assert manage(tmp_path / "data", "services", "status").stdout == "postgres: not running\nredis: not running\n"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret-key"]


@pytest.mark.parametrize("command", [("services", "start"), ("showmigrations",)])
def test_what_is_wrong_is_said_in_words(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "letters").mkdir()
    tmp_path.chmod(0o755)
    done = manage(tmp_path, *command)
    assert (done.returncode, "holds other things" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
