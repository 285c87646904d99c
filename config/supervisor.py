"""One process tree: the web server, the workers and the clock, with their logs side by side."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial

from config.embedded import places

COLOURS = {"web": "36", "cpu": "32", "gpu": "35", "beat": "33", "up": "1"}
GRACE_SECONDS = 15
LONGEST_PAUSE = 30.0


@dataclass
class Child:
    """A program of the tree. Started again when it ends, after a pause that doubles while it keeps ending."""

    name: str
    command: list[str]
    # The signal that ends it at once and cleanly; jobs are transactions, so a cut one is tried again.
    stop_signal: signal.Signals = signal.SIGTERM
    # What it gets should this process be killed, so that nothing of the tree is left.
    orphan_signal: signal.Signals = signal.SIGTERM
    process: "subprocess.Popen[str] | None" = None
    pause: float = 1.0
    started: float = 0.0
    again_at: float = 0.0
    readers: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A group of its own: Ctrl-C reaches this process alone, which ends the children in order.
            start_new_session=True,
            preexec_fn=partial(places.tie_to_parent, self.orphan_signal),
        )
        reader = threading.Thread(target=self._pass_on, args=[self.process], daemon=True)
        reader.start()
        self.readers.append(reader)

    def _pass_on(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            say(self.name, line.rstrip())

    def watch(self) -> None:
        """Start again what has ended."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.again_at:
                self.start()
        elif (code := self.process.poll()) is not None:
            self.pause = 1.0 if now - self.started > 60 else min(2 * self.pause, LONGEST_PAUSE)
            self.process, self.again_at = None, now + self.pause
            say("up", f"{self.name} ended with code {code}; starting it again in {self.pause:.0f} s")

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def finish(self, deadline: float) -> None:
        """Wait for its end until then; afterwards end its whole group."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say("up", f"{self.name} did not end in time and is killed")
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def supervise(children: list[Child], stopping: threading.Event) -> None:
    """Run the children until `stopping` is set, then end them all."""
    try:
        for child in children:
            child.start()
        while not stopping.wait(0.5):
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
    """One line of the common log, with the name of the part that says it."""
    prefix = f"{name:>5} | "
    if sys.stdout.isatty():
        prefix = f"\033[{COLOURS.get(name, '0')}m{prefix}\033[0m"
    with _print_lock:
        print(prefix + line, flush=True)
