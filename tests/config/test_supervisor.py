"""Children of a process tree, with small programs in their place."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from config.supervisor import Child, supervise

SLEEP = "import time; time.sleep(60)"


def child(code: str, tmp_path: Path, **further: object) -> Child:
    return Child("web", [sys.executable, "-c", code], folder=tmp_path, environment=os.environ, **further)


def wait_for(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_lines_carry_the_name_of_who_says_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = child("print('hello')", tmp_path)
    program.start()
    program.finish(time.monotonic() + 10)
    assert capsys.readouterr().out == "  web | hello\n"


def test_what_ends_is_started_again_after_growing_pauses(tmp_path: Path) -> None:
    program = child("raise SystemExit(3)", tmp_path)
    pauses = []
    for _ in range(3):
        program.again_at = 0
        program.watch()
        wait_for(program.has_ended)
        program.watch()
        pauses.append(program.pause)
    assert pauses == [2, 4, 8]


def test_what_has_run_for_long_is_started_again_soon(tmp_path: Path) -> None:
    program = child("", tmp_path, pause=30)
    program.start()
    program.started -= 1000
    wait_for(program.has_ended)
    program.watch()
    assert program.pause == 1


def test_what_runs_once_is_not_started_again(tmp_path: Path) -> None:
    program = child("", tmp_path, once=True)
    program.start()
    process = program.process
    wait_for(program.has_ended)
    program.watch()
    assert program.process is process


def test_the_children_of_a_child_end_with_it(tmp_path: Path) -> None:
    # The grandchild hears no SIGTERM, as a hanging pool process would not.
    code = f"""
import subprocess, sys, pathlib
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); {SLEEP}"])
pathlib.Path("pid.new").write_text(str(grandchild.pid))
pathlib.Path("pid.new").rename("pid")
grandchild.wait()
"""
    program = child(code, tmp_path)
    program.start()
    wait_for((tmp_path / "pid").exists)
    program.stop()
    program.finish(time.monotonic() + 5)
    wait_for(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_one_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.supervisor.GRACE_SECONDS", 0.5)
    stubborn = "import signal, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path('ready').touch(); " + SLEEP
    stopping, program = threading.Event(), child(stubborn, tmp_path)
    supervise([program], stopping, lambda: stopping.set() if (tmp_path / "ready").exists() else None)
    assert program.process and program.process.returncode == -signal.SIGKILL


def test_all_are_ended_when_tending_fails(tmp_path: Path) -> None:
    program = child(SLEEP, tmp_path)
    with pytest.raises(ZeroDivisionError):
        supervise([program], threading.Event(), lambda: 1 / 0)
    assert program.process and program.process.returncode == -signal.SIGTERM
