"""One process tree: the web server, the workers and the clock, with their logs side by side."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from config.embedded import places

COLOURS = {"web": "36", "cpu": "32", "gpu": "35", "beat": "33", "demo": "34", "nets": "34", "up": "1"}
GRACE_SECONDS = 15
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60


@dataclass
class Child:
    """A program of the tree. Started again when it ends, after a pause that doubles while it keeps ending."""

    name: str
    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    # The signal that ends it at once and cleanly; jobs are transactions, so a cut one is tried again.
    stop_signal: signal.Signals = signal.SIGTERM
    # Does its work and ends: not started again.
    once: bool = False
    process: "subprocess.Popen[str] | None" = None
    pause: float = 1.0
    started: float = 0.0
    again_at: float = 0.0
    reader: threading.Thread | None = field(default=None, repr=False)

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A group of its own: Ctrl-C reaches this process alone, which ends the children in order.
            start_new_session=True,
            # Should this process be killed, nothing of the tree is left. Gentler signals go unheard by one that waits for
            # a broker or a request; the processes of the web server and of the workers' pools are tied to it in turn.
            preexec_fn=partial(places.tie_to_parent, signal.SIGKILL),
        )
        self.reader = threading.Thread(target=self._pass_on, args=[self.process], daemon=True)
        self.reader.start()

    def _pass_on(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                say(self.name, line.rstrip())

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def watch(self) -> None:
        """Start again what has ended."""
        if self.once:
            return
        now = time.monotonic()
        if self.process is None:
            if now >= self.again_at:
                self.start()
        elif self.has_ended():
            self.pause = 1.0 if now - self.started > STEADY_SECONDS else min(2 * self.pause, LONGEST_PAUSE)
            say("up", f"{self.name} ended with code {self.process.returncode}; starting it again in {self.pause:.0f} s")
            self._end_group()
            self.process, self.again_at = None, now + self.pause

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def finish(self, deadline: float) -> None:
        """Wait for its end until then; afterwards end its whole group, and wait for its last words."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say("up", f"{self.name} did not end in time and is killed")
        self._end_group()
        self.process.wait()
        if self.reader:
            self.reader.join(1)

    def _end_group(self) -> None:
        """Its own children share its group: none of them outlives it."""
        assert self.process is not None
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def supervise(children: list[Child], stopping: threading.Event, tend: Callable[[], None]) -> None:
    """Run the children until `stopping` is set, calling `tend` twice a second; then end them all.

    `tend` may add to the list. To be called from the main thread: the kernel ends the children with the thread that
    started them.
    """
    try:
        for child in children:
            child.start()
        while not stopping.wait(0.5):
            tend()
            for child in children:
                child.watch()
    finally:
        say("up", "stopping")
        for child in children:
            child.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in children:
            child.finish(deadline)


_print_lock = threading.Lock()


def say(name: str, line: str) -> None:
    """One line of the common log, with the name of the part that says it. A log that nobody reads any more stops nothing."""
    prefix = f"{name:>5} | "
    if sys.stdout.isatty():
        prefix = f"\033[{COLOURS.get(name, '0')}m{prefix}\033[0m"
    with _print_lock:
        try:
            print(prefix + line, flush=True)
        except OSError:
            pass
