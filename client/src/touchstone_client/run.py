"""A training's line to Touchstone. After `start` nothing here raises, and nothing waits for the network."""

import atexit
import functools
import json
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec
from urllib.parse import quote

from touchstone_client.errors import TouchstoneError
from touchstone_client.items import Item
from touchstone_client.sender import PREDICTIONS, Outcome, Sender, Server
from touchstone_client.settings import Settings, resolve
from touchstone_client.spool import Spool, SpoolFile, dumps

ROWS_PER_REQUEST = 500
# The server takes 16 MB; a character takes up to 6 bytes of JSON.
CHARACTERS_PER_REQUEST = 2_000_000
START_SECONDS = 5.0
# What the server says of who we are and what we ask: people must mend it, and had better hear of it before the training.
DENIED = ("400", "401", "403", "404", "409")
log = logging.getLogger("touchstone")
Parameters = ParamSpec("Parameters")


@dataclass(frozen=True)
class StartInfo:
    """What the server, or the last start on this disk, said. `items` are those of `prediction_set`."""

    job_id: str
    attempt: int
    panel: dict[str, Any] | None = None
    prediction_set: dict[str, Any] | None = None
    url: str = ""
    reached: bool = False


@dataclass
class State:
    """What a job's folder remembers between processes."""

    attempts: int = 0
    panel: dict[str, Any] | None = None
    sets: dict[str, Any] = field(default_factory=dict)


def harmless(method: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Whatever fails is counted and said once; the training goes on."""

    @functools.wraps(method)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        run: Any = args[0]
        try:
            method(*args, **kwargs)
        except Exception as error:
            run.problems += 1
            run.warn(f"{method.__name__} failed ({type(error).__name__}: {error}). The training goes on.")

    return guarded


def _parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows in requests that the server takes."""
    part: list[dict[str, Any]] = []
    characters = 0
    for row in rows:
        size = sum(len(value) if isinstance(value, str) else len(str(value)) for value in row.values())
        if part and (len(part) == ROWS_PER_REQUEST or characters + size > CHARACTERS_PER_REQUEST):
            yield part
            part, characters = [], 0
        part.append(row)
        characters += size
    if part:
        yield part


def _is_start(answer: dict[str, Any] | None) -> bool:
    """Whether an answer to a start has the shape of Touchstone's; anything may stand where a server should."""
    return (
        answer is not None
        and isinstance(answer.get("job_id"), str)
        and isinstance(answer.get("attempt"), int)
        and all(isinstance(answer.get(name), (dict, type(None))) for name in ("panel", "prediction_set"))
    )


class Run:
    """Sends a training's answers. Use it as a context manager, or call `start` and `finish`.

    Arguments beat the environment (TOUCHSTONE_URL, TOUCHSTONE_TOKEN, TOUCHSTONE_JOB_ID, TOUCHSTONE_MODE, TOUCHSTONE_DIR).
    Raises TouchstoneError here and in `start`, never later.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        job_id: str | None = None,
        project: str | None = None,
        run_name: str | None = None,
        mode: str | None = None,
        dir: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
        task_type: str = "text",
        framework: str | None = None,
    ) -> None:
        self.settings: Settings = resolve(
            url=url, token=token, job_id=job_id, project=project, run_name=run_name, mode=mode, dir=dir
        )
        self.config, self.task_type, self.framework = config, task_type, framework
        self.problems = 0
        self.info: StartInfo | None = None
        self._said: set[str] = set()
        self._spool: Spool | None = None
        self._sender: Sender | None = None
        self._pid = 0
        # Who only visits a job, or has told its end, says nothing more of it at exit.
        self._tells_end = True

    # --- Before the training -----------------------------------------------------------------------------------------
    def start(self, prediction_set: str = "", environment: Mapping[str, Any] | None = None) -> StartInfo:
        """Tell the server that a training begins, and learn its panel. Raises TouchstoneError where it says that we may not.

        A server that cannot be reached is no obstacle: the last start on this disk counts, and all is sent later.
        """
        if self.settings.is_disabled:
            self.info = StartInfo(self.settings.job_id, 0)
            return self.info
        if self.info is not None and self._spool is not None:
            return self.info  # after `finish` another training begins, which is an attempt of its own
        state = self._remembered()
        state.attempts += 1
        body = {
            "attempt": state.attempts,
            "name": self.settings.run_name,
            "task_type": self.task_type,
            "framework": self.framework or "",
            "project": self.settings.project,
            "prediction_set": prediction_set,
            "environment": {"python": platform.python_version(), "host": platform.node(), **(environment or {})},
            **({"config": dict(self.config)} if self.config else {}),
        }
        self.info = self._asked(body, state) if self.settings.is_online else None
        reached = self.info is not None
        if self.info is None:
            self.info = StartInfo(self.settings.job_id, state.attempts, state.panel, state.sets.get(prediction_set))
        state.attempts = self.info.attempt
        self._make_room(state)
        if not reached:
            self._put("start/", {**body, "attempt": self.info.attempt})
        return self.info

    def _make_room(self, state: State) -> None:
        """The folder and the file that answers go to. Raises TouchstoneError where they cannot be."""
        try:
            self._remember(state)
            self._open()
        except OSError as error:
            self.info = None
            raise TouchstoneError(
                f"Touchstone cannot write to {self.settings.job_dir} ({error.strerror or error}). "
                "Give a folder that it may write to: dir= or TOUCHSTONE_DIR; to switch it off, TOUCHSTONE_MODE=disabled."
            ) from error

    def attach(self) -> None:
        """Speak for a job that is there without starting it: its status and its count of attempts stay as they are."""
        if self.info is None and not self.settings.is_disabled:
            self._tells_end = False
            self.info = StartInfo(self.settings.job_id, max(1, self._remembered().attempts))
            self._open()

    def close(self, timeout: float = 10.0) -> None:
        """Send what waits, at most so long, and say nothing of an end of the training."""
        self._close(timeout)

    def _asked(self, body: dict[str, Any], state: State) -> StartInfo | None:
        outcome = self._outcome_of_start(json.loads(dumps(body)))
        if outcome.kind == "sent" and _is_start(outcome.answer):
            answer = outcome.answer or {}
            state.panel = answer.get("panel")
            asked = answer.get("prediction_set")
            if asked:
                state.sets[body["prediction_set"]] = asked
            attempt = max(state.attempts, answer["attempt"])
            return StartInfo(answer["job_id"], attempt, state.panel, asked, str(answer.get("url", "")), reached=True)
        if outcome.reason[:3] in DENIED:
            raise TouchstoneError(f"The server at {self.settings.url} says {outcome.reason}")
        self.warn(
            f"The server at {self.settings.url} cannot be reached ({outcome.reason}). Predictions wait in {self.settings.dir}."
        )
        return None

    def _outcome_of_start(self, body: dict[str, Any]) -> Outcome:
        """In a thread: looking up a name, and an answer that drips, know no timeout."""
        outcomes: list[Outcome] = []

        def ask() -> None:
            server = Server(self.settings.url, self.settings.token)
            outcomes.append(server.post(self._path("start/"), body, timeout=START_SECONDS))
            server.close()

        asking = threading.Thread(target=ask, name="touchstone-start", daemon=True)
        asking.start()
        asking.join(START_SECONDS + 1)
        return outcomes[0] if outcomes else Outcome("later", f"no answer within {START_SECONDS + 1:g} seconds")

    # --- While it trains ---------------------------------------------------------------------------------------------
    @harmless
    def register_set(self, name: str, items: Sequence[Item], source: str = "", seed: int | None = None) -> None:
        """The questions that were drawn; answers of `log(prediction_set=name)` belong to them."""
        self._put("sets/", {"name": name, "source": source, "seed": seed, "items": [item.as_dict() for item in items]})

    @harmless
    def log(
        self,
        epoch: float | None = None,
        step: int | None = None,
        predictions: Iterable[Mapping[str, Any]] = (),
        prediction_set: str = "",
        generation_params: Mapping[str, Any] | None = None,
        checkpoint: str = "",
    ) -> None:
        """The answers of this model state. Returns at once; rows are `{"sample_index", "prompt", "prediction", ...}`."""
        rows = [dict(row) for row in predictions]
        head: dict[str, Any] = {"job_id": self.settings.job_id, "epoch": epoch, "step": step, "attempt": self.attempt}
        optional = {"prediction_set": prediction_set, "checkpoint": checkpoint, "generation_params": generation_params}
        head |= {name: value for name, value in optional.items() if value}
        head = {name: value for name, value in head.items() if value is not None}
        for part in _parts(rows):
            self._write(PREDICTIONS, {**head, "predictions": part})

    @harmless
    def checkpoint(self, path: str, epoch: float, step: int, metrics: Mapping[str, Any] | None = None) -> None:
        """A model state was saved; what was answered at that step gets its path."""
        self._put("checkpoints/", {"path": str(path), "epoch": epoch, "step": step, "metrics": dict(metrics or {})})

    @harmless
    def missed(self, reason: str, epoch: float | None = None, step: int | None = None) -> None:
        """A firing that could not be: the page shows when and why."""
        self._put("progress/", {"missed": {"reason": reason[:2000], "epoch": epoch, "step": step}})

    @harmless
    def progress(self, epoch: float | None = None, step: int | None = None, **fields: Any) -> None:
        """How far the training is; also `total_steps`, `overhead={"seconds", "share"}`."""
        told = {"epoch": epoch, "step": step, **fields}
        self._put("progress/", {name: value for name, value in told.items() if value is not None})

    @harmless
    def finish(self, status: str = "completed", message: str = "", timeout: float = 10.0) -> None:
        """The training has ended. Tries so long to send what waits; what remains says how to send it later."""
        if self._spool is None or self._pid != os.getpid():
            return
        self._put("progress/", {"status": status, "message": message[:4000]})
        self._tells_end = False
        self._close(timeout)

    @property
    def attempt(self) -> int:
        return self.info.attempt if self.info else 1

    def __enter__(self) -> "Run":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        else:
            self.finish("cancelled" if issubclass(kind, KeyboardInterrupt) else "failed", f"{kind.__name__}: {error}")

    def warn(self, text: str) -> None:
        """Once each."""
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)

    # --- To the disk, and from there ---------------------------------------------------------------------------------
    def _path(self, end: str) -> str:
        return f"/api/training/jobs/{quote(self.settings.job_id, safe='')}/{end}"

    def _put(self, end: str, body: dict[str, Any]) -> None:
        self._write(self._path(end), body)

    def _write(self, path: str, body: dict[str, Any]) -> None:
        if self.settings.is_disabled:
            return
        if self.info is None:
            self.start()
        # Forked: threads and files are the parent's. Closed: an evaluation after the training has answers too.
        if self._spool is None or self._pid != os.getpid():
            self._open()
        assert self._spool is not None
        self._spool.append(path, body)
        if self._sender is not None:
            self._sender.wake()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._spool = Spool(self.settings.job_dir)
        self._sender = None
        if self.settings.is_online:
            server = Server(self.settings.url, self.settings.token)
            own = SpoolFile(self._spool.path)
            self._sender = Sender(self.settings.job_dir, own, server, self._spool.sync, self.warn)
            self._sender.start()
            # What earlier processes left is sent at once, also where this one has nothing to say yet.
            self._sender.wake()
        atexit.register(self._at_exit, self._pid)

    def _at_exit(self, pid: int) -> None:
        """The process ends without `finish`: by an error that nobody caught, or because its script is over."""
        if pid != os.getpid():
            return
        error = getattr(sys, "last_value", None)
        if not self._tells_end:
            self._close(timeout=5.0)
        elif error is None:
            self.finish(timeout=5.0)
        else:
            self.finish("failed", f"{type(error).__name__}: {error}", timeout=5.0)

    def _close(self, timeout: float) -> None:
        spool, sender = self._spool, self._sender
        if spool is None:
            return
        self._spool = self._sender = None
        spool.sync()
        if sender is not None:
            if not sender.drain(timeout):
                reason = f" ({sender.last_reason})" if sender.last_reason else ""
                self.warn(f"Some predictions wait on disk{reason}. Send them with: touchstone sync {self.settings.dir}")
            sender.stop()
        else:
            self.warn(f"Predictions are in {spool.path}. Send them with: touchstone sync {self.settings.dir}")

    @property
    def _state_file(self) -> Path:
        return self.settings.job_dir / "state.json"

    def _remembered(self) -> State:
        try:
            stored = json.loads(self._state_file.read_text())
            return State(int(stored["attempts"]), stored.get("panel"), dict(stored.get("sets") or {}))
        except (OSError, ValueError, KeyError, TypeError):
            return State()

    def _remember(self, state: State) -> None:
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._state_file.with_suffix(f".json-{os.getpid()}")
        fresh.write_text(dumps(vars(state)))
        fresh.replace(self._state_file)
