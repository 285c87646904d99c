"""Sending what waits on disk, in the background, in order, until the server has confirmed it."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from touchstone_client.spool import SpoolFile, files_in

PREDICTIONS = "/api/training/predictions/"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# The request itself is wrong: sending it again cannot help.
REFUSED = frozenset((400, 413, 415, 422))
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# Of one answer: more is no answer of Touchstone's. The longest is that of a start with a set of 10,000 items.
LARGEST_ANSWER, LONGEST_ANSWER = 256 * 2**20, 300.0
MOST_WARNINGS = 5


@dataclass(frozen=True)
class Outcome:
    """`sent`, `refused` (for good) or `later`, with the reason and how long the server asks to wait."""

    kind: str
    reason: str = ""
    wait: float | None = None
    answer: dict[str, Any] | None = None


class Server:
    """The server's side of every request. No redirect is followed: it would carry the token elsewhere."""

    def __init__(self, url: str, token: str, timeout: httpx.Timeout = TIMEOUT) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"}, timeout=timeout
        )

    def post(self, path: str, body: dict[str, Any], timeout: float | None = None) -> Outcome:
        try:
            response = self._answer(path, body, {} if timeout is None else {"timeout": timeout})
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, UnicodeError) as error:
            return Outcome("later", f"{type(error).__name__}: {error}")
        if response.is_success:
            return _confirmed(path, body, response)
        reason = f"{response.status_code}: {_reason(response)}"
        if response.status_code in REFUSED:
            return Outcome("refused", reason)
        return Outcome("later", reason, _seconds(response.headers.get("Retry-After")))

    def _answer(self, path: str, body: dict[str, Any], options: dict[str, Any]) -> httpx.Response:
        """The answer, read up to a limit: a server that never stops talking must fill neither memory nor time."""
        # ASCII, since halves of surrogate pairs are no UTF-8.
        content, headers = json.dumps(body).encode("ascii"), {"Content-Type": "application/json"}
        until = time.monotonic() + LONGEST_ANSWER
        told = bytearray()
        with self._client.stream("POST", path, content=content, headers=headers, **options) as response:
            for piece in response.iter_bytes():
                told += piece
                if len(told) > LARGEST_ANSWER or time.monotonic() > until:
                    raise httpx.ReadError("the answer is too long or takes too long")
        kept = {name: value for name, value in response.headers.items() if name == "retry-after"}
        return httpx.Response(response.status_code, headers=kept, content=bytes(told))

    def close(self) -> None:
        self._client.close()


def _confirmed(path: str, body: dict[str, Any], response: httpx.Response) -> Outcome:
    """A success counts only where the answer says so in the server's own words: proxies answer 200 too."""
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return Outcome("later", "The answer is not Touchstone's. Is the address right?")
    if path == PREDICTIONS:
        counts: list[Any] = [answer.get("stored"), answer.get("updated")]
        rejected = answer.get("rejected")
        if not all(isinstance(count, int) for count in counts) or not isinstance(rejected, list):
            return Outcome("later", "The answer does not say what was stored.")
        if sum(counts) + len(rejected) != len(body.get("predictions", [])):
            return Outcome("later", "The answer accounts for other rows than those sent.")
    elif "/checkpoints/" not in path and "job_id" not in answer and "prediction_set" not in answer:
        return Outcome("later", "The answer is not Touchstone's. Is the address right?")
    return Outcome("sent", answer=answer)


def _reason(response: httpx.Response) -> str:
    try:
        told = response.json()
        return " ".join(str(told[name]) for name in ("detail", "remedy") if told.get(name))[:1000]
    except (ValueError, AttributeError, TypeError):
        return response.reason_phrase or "no reason given"


def _seconds(text: str | None) -> float | None:
    try:
        return min(600.0, max(0.0, float(text or "")))
    except ValueError:
        return None


def send_file(file: SpoolFile, server: Server, warn: Callable[[str], None], stop: threading.Event | None = None) -> Outcome:
    """Send a spool in order, marking each confirmed request. The outcome is that of the last one, `sent` where all are."""
    for record, end in file.pending():
        if stop is not None and stop.is_set():
            return Outcome("later", "stopped")
        outcome = server.post(record["path"], record["body"])
        if outcome.kind == "later":
            return outcome
        if outcome.kind == "refused":
            file.refuse(record, outcome.reason)
            warn(f"The server refused a request ({outcome.reason}). It is kept in {file.path.with_suffix('.refused.jsonl')}.")
        else:
            _keep_rejected(file, record, outcome.answer or {}, warn)
            _pass_on(outcome.answer or {}, warn)
        file.mark(end)
    return Outcome("sent")


def _pass_on(answer: dict[str, Any], warn: Callable[[str], None]) -> None:
    """What the server has found out about this training, such as golden questions among its data."""
    told = answer.get("warnings")
    for text in told[:MOST_WARNINGS] if isinstance(told, list) else []:
        warn(str(text)[:1000])


def _keep_rejected(file: SpoolFile, record: dict[str, Any], answer: dict[str, Any], warn: Callable[[str], None]) -> None:
    """Rows that the server would not take, in a file of their own."""
    rejected = answer.get("rejected") or []
    rows = record["body"].get("predictions", [])
    for refusal in rejected:
        index = refusal.get("index") if isinstance(refusal, dict) else None
        if isinstance(index, int) and 0 <= index < len(rows):
            body = {**record["body"], "predictions": [rows[index]]}
            file.refuse({"path": record["path"], "body": body}, str(refusal.get("reason")))
    if rejected:
        first = rejected[0].get("reason") if isinstance(rejected[0], dict) else rejected[0]
        warn(
            f"The server refused {len(rejected)} predictions ({first}). They are kept in {file.path.with_suffix('.refused.jsonl')}."
        )


class Sender(threading.Thread):
    """The background thread: makes what was written durable, sends it, and tries again where the server cannot take it."""

    def __init__(
        self, folder: Path, own: SpoolFile, server: Server, sync: Callable[[], None], warn: Callable[[str], None]
    ) -> None:
        super().__init__(name="touchstone-sender", daemon=True)
        self._folder, self._own, self._server, self._sync, self._warn = folder, own, server, sync, warn
        self._changed, self._stopped = threading.Condition(), threading.Event()
        # How often somebody asked for a turn, and up to which of these all has been sent.
        self._asked = self._sent = 0
        self._draining = False
        self.last_reason = ""

    def wake(self) -> None:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until all that was written by now is sent, at most so long; whether it is."""
        self._draining = True
        self.wake()
        with self._changed:
            asked = self._asked
            return self._changed.wait_for(lambda: self._sent >= asked, seconds)

    def stop(self) -> None:
        self._stopped.set()
        self.wake()

    def run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._sent)
                asked = self._asked
            outcome = self._turn()
            if outcome.kind == "sent":
                pause, self.last_reason = FIRST_PAUSE, ""
                with self._changed:
                    self._sent = asked
                    self._changed.notify_all()
                continue
            if outcome.reason != self.last_reason:
                self._warn(f"Predictions wait on disk; the training goes on ({outcome.reason}).")
            self.last_reason = outcome.reason
            self._rest(outcome.wait if outcome.wait is not None else pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _rest(self, seconds: float) -> None:
        """Until the next try. New answers do not shorten it; the end of the training does, to a last try or two."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopped.is_set():
            if self._draining:
                self._stopped.wait(min(1.0, max(0.0, until - time.monotonic())))
                return
            self._stopped.wait(0.2)

    def _turn(self) -> Outcome:
        """Once through all that waits: what earlier processes left first, then our own."""
        try:
            self._sync()
            leftovers = [file for file in files_in(self._folder) if file.path != self._own.path]
            for file in [*leftovers, self._own]:
                with file.locked() as alone:
                    if not alone and file is self._own:
                        return Outcome("later", "another process sends them now")
                    if not alone:
                        continue  # `touchstone sync`, or the process that writes it, is at it
                    outcome = send_file(file, self._server, self._warn, self._stopped)
                if outcome.kind == "later":
                    return outcome
        except Exception as error:  # whatever it is, the training knows nothing of it
            return Outcome("later", f"{type(error).__name__}: {error}")
        return Outcome("sent")
