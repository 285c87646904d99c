"""Looking after the embedded servers for as long as a process runs."""

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from config.embedded.places import EmbeddedError

LONGEST_PAUSE = 30.0


class Tender:
    """Those servers that this process started end with it, even when it is killed; one that falls is started again.

    `servers` are modules with NAME, ensure_running, process_id and stop. To be used from one thread that lives as long as
    the process: the kernel ends the servers with the thread that started them.
    """

    def __init__(self, data_dir: Path, servers: list[ModuleType], say: Callable[[str], None]) -> None:
        self.data_dir, self.servers, self.say = data_dir, servers, say
        self.own: set[ModuleType] = set()
        self.pause, self.again_at = 1.0, 0.0

    def start(self) -> None:
        """Raises EmbeddedError where one cannot start."""
        for server in self.servers:
            self._start(server)
            whose = "" if server in self.own else ", started by another command"
            self.say(f"{server.NAME}: embedded, in {self.data_dir}{whose}")

    def tend(self) -> None:
        """Start again what has fallen, after a pause that doubles while that fails."""
        if time.monotonic() < self.again_at:
            return
        for server in self.servers:
            if server.process_id(self.data_dir) is not None:
                continue
            self.say(f"{server.NAME} has ended; starting it again")
            try:
                self._start(server)
                self.pause = 1.0
            except EmbeddedError as error:
                self.pause = min(2 * self.pause, LONGEST_PAUSE)
                self.say(str(error))
            self.again_at = time.monotonic() + self.pause

    def stop(self) -> None:
        for server in self.own:
            try:
                server.stop(self.data_dir)
            except EmbeddedError as error:
                self.say(str(error))

    def _start(self, server: ModuleType) -> None:
        if server.process_id(self.data_dir) is None:
            self.own.add(server)
        server.ensure_running(self.data_dir, tied=True)
