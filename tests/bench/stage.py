"""What the benchmarks share: a database of their own, files, runs of commands, and the way figures are told."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from accounts.models import User
from datasets.models import Dataset
from tests.bench.generate import ensure_files

ROOT = Path(__file__).resolve().parents[2]
SLUG = "bench"


@contextmanager
def database() -> Iterator[None]:
    """The embedded server under TOUCHSTONE_DATA, migrated, with a user; stopped at the end where it is embedded."""
    from config import embedded

    call_command("migrate", verbosity=0, skip_checks=True)
    call_command("collectstatic", verbosity=0, interactive=False, skip_checks=True)
    User.objects.filter(username="bench").exists() or User.objects.create_superuser("bench", password=None)
    try:
        yield
    finally:
        if not settings.DATABASE_URL:
            embedded.postgres.stop(settings.DATA_DIR)


def files(predictions: int) -> tuple[Path, Path]:
    return ensure_files(settings.DATA_DIR / "files", predictions)


def manage(*arguments: str) -> float:
    """Seconds of one management command, as a process of its own, from its start to its end."""
    started = time.perf_counter()
    process("manage.py", *arguments)
    return time.perf_counter() - started


TIMED = """
import sys, time
import django
django.setup()
from django.core.management import call_command, get_commands, load_command_class
command = load_command_class(get_commands()[sys.argv[1]], sys.argv[1])
started = time.perf_counter()
call_command(command, *sys.argv[2:], stdout=open("/dev/null", "w"))
print(time.perf_counter() - started)
"""


def command(*arguments: str) -> float:
    """Seconds of one management command in a fresh process, without the start of Python and Django."""
    return float(process("-c", TIMED, *arguments))


def process(script: str, *arguments: str) -> str:
    # Byte code is kept: a deployment compiles its code once, not at every start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, script, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def imported_truth() -> Dataset:
    """The benchmark's dataset with its ground truth, imported where it is not there yet."""
    truth, _ = files(475_000)
    if not Dataset.objects.filter(slug=SLUG, sample_count=5_000).exists():
        manage("import_coco", SLUG, str(truth), "--replace")
    return Dataset.objects.get(slug=SLUG)


def compare(
    label: str, ours: Callable[[], float], reference: Callable[[], float], runs: int, target: float | None = None
) -> float:
    """Both in turn, A B A B ...; prints medians in seconds and the median of the ratios, pair by pair."""
    pairs = [(ours(), reference()) for _ in range(runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    aim = f" (aim: at most {target})" if target else ""
    print(
        f"{label:<58} {statistics.median(a for a, _ in pairs):8.3f} s / {statistics.median(b for _, b in pairs):8.3f} s"
        f" = ratio {ratio:5.2f}{aim}",
        flush=True,
    )
    return ratio


def median_seconds(call: Callable[[], object], runs: int) -> float:
    def once() -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    return statistics.median(once() for _ in range(runs))
