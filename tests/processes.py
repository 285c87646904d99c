"""Killing a server of a test, and knowing when it is gone."""

import os
import signal
import time
from pathlib import Path


def kill(pid: int | None) -> None:
    """Kill it, and wait until the system has closed its files: until then its socket still takes callers."""
    assert pid
    os.kill(pid, signal.SIGKILL)
    while _holds_files(pid):
        time.sleep(0.01)


def _holds_files(pid: int) -> bool:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return len(threads) > 1 or state not in "ZX"
