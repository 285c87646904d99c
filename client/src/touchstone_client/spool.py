"""What waits to be sent: append-only files of JSON lines, and how far each has been sent.

`DIR/<job>/<time>-<pid>.jsonl` holds requests, one a line; `.sent` beside it the number of bytes that the server has confirmed;
`.refused.jsonl` what the server would not take, with its reason.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows, where one sender at a time is the user's own care
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".jsonl"
REFUSED = ".refused.jsonl"
# Whoever gives a folder with files of other kinds wants these left alone.
NAME = re.compile(r"\d{8}T\d{9}-\d+\.jsonl")


def dumps(value: Any) -> str:
    """JSON of whatever a training loop holds: numbers of numpy and torch become plain, NaN and infinity null."""
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), default=_plain)


def _plain(value: Any) -> Any:
    if (hasattr(value, "item") and getattr(value, "size", 1) in (1, None)) or hasattr(value, "numel"):
        try:
            return _finite(value.item())
        except (ValueError, RuntimeError, TypeError):
            return str(value)
    return list(value) if isinstance(value, (set, frozenset, tuple)) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


class Spool:
    """The file that this process writes. `append` is one write, which a killed process cannot lose; `sync` makes it durable."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"{time.time_ns() % 10**9 // 10**6:03d}"
        self.path = folder / f"{stamp}-{os.getpid()}{SUFFIX}"
        self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY, 0o600)
        self._is_torn = False

    def append(self, path: str, body: dict[str, Any]) -> None:
        line = (dumps({"path": path, "body": body}) + "\n").encode("utf-8", "surrogatepass")
        if self._is_torn:  # a full disk cut the line before: this one must not continue it
            line = b"\n" + line
        self._is_torn = True
        written = os.write(self._file, line)
        while written < len(line):
            written += os.write(self._file, line[written:])
        self._is_torn = False

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


class SpoolFile:
    """A spool as its sender sees it, whoever wrote it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark = path.with_suffix(".sent")

    @property
    def sent(self) -> int:
        """Bytes that the server has confirmed."""
        try:
            return int(self._mark.read_text())
        except (OSError, ValueError):
            return 0

    @property
    def is_done(self) -> bool:
        return next(self.pending(), None) is None

    def pending(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Requests not confirmed yet, each with the offset of its end. A torn last line is not yet one; other damage is skipped."""
        try:
            file = self.path.open("rb")
        except OSError:
            return
        with file:
            offset = self.sent
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                try:
                    record = json.loads(line)
                    yield {"path": str(record["path"]), "body": dict(record["body"])}, offset
                except (ValueError, KeyError, TypeError):
                    continue

    def mark(self, offset: int) -> None:
        """Atomic: a killed process leaves the old mark or the new one."""
        fresh = self._mark.with_suffix(f".sent-{os.getpid()}")
        fresh.write_text(str(offset))
        fresh.replace(self._mark)

    def refuse(self, record: dict[str, Any], reason: str) -> None:
        with self.path.with_suffix(REFUSED).open("a", encoding="utf-8", errors="surrogatepass") as file:
            file.write(dumps({"reason": reason, **record}) + "\n")

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether this process alone sends the file now."""
        if fcntl is None:
            yield True
            return
        with self.path.with_suffix(".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            try:
                yield True
            finally:
                # Closing is not enough: a child that was forked meanwhile (a loader's worker) has the file open too.
                fcntl.flock(file, fcntl.LOCK_UN)


def files_in(folder: Path) -> list[SpoolFile]:
    """All spools below a folder, oldest first."""
    paths = [path for path in folder.rglob(f"*{SUFFIX}") if NAME.fullmatch(path.name)]
    return [SpoolFile(path) for path in sorted(paths, key=lambda path: path.name)]
