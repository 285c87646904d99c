"""Training data to look through: sent along, or inside the folders that this server may import from."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from datasets.importers.problems import ImportRefused
from datasets.sources import server_path
from predictions.prediction_sets import SetRefused

LARGEST = 50 * 1024**2
MOST_UNPACKED = 10 * LARGEST
PIECE = 1 << 20
COMMAND = "Use manage.py check_leakage, which reads files of any size."
GZIP = b"\x1f\x8b"


@contextmanager
def training_file(*, file: Any = None, path: str = "") -> Iterator[Path]:
    """The file under a name that ends as it reads. Raises SetRefused, and ImportRefused for a path that is not allowed."""
    if file is not None:
        _check_size(file.size)
        with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
            head = file.read(2)
            file.seek(0)
            stored = Path(folder) / ("rows.jsonl.gz" if head == GZIP else "rows.jsonl")
            with stored.open("wb") as target:
                for chunk in file.chunks():
                    target.write(chunk)
            _check_unpacked(stored)
            yield stored
        return
    if not path:
        raise SetRefused("There is no training data to look through.", "Send a file, or a path on the server.")
    found = server_path(path)
    if not found.is_file():
        raise ImportRefused("That is a folder.", where=path[:200], remedy="Name the file of training data.")
    _check_size(found.stat().st_size)
    _check_unpacked(found)
    yield found


def _scratch() -> Path:
    settings.SCRATCH_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(settings.SCRATCH_ROOT)


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise SetRefused(f"The file is larger than {LARGEST // 1024**2} MB, which takes longer than a page waits.", COMMAND)


def _check_unpacked(path: Path) -> None:
    """A packed file may hold a thousand times its size. One that is damaged is for its reader to refuse, with the line."""
    if path.suffix != ".gz":
        return
    size = 0
    try:
        with gzip.open(path) as packed:
            while piece := packed.read(PIECE):
                size += len(piece)
                if size > MOST_UNPACKED:
                    break
    except (OSError, EOFError, zlib.error):
        return
    if size > MOST_UNPACKED:
        raise SetRefused(f"Unpacked, the file is larger than {MOST_UNPACKED // 1024**2} MB.", COMMAND)
