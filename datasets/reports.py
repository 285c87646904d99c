"""What an import has to say, in the one shape that pages, API and commands show; and its rejected rows as a file."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from datasets.importers.problems import FIXES, REASONS, ProblemLog
from datasets.models.imports import ImportJob

# Enough to see every kind of mistake; a file with millions of wrong rows is told by its first ones.
MOST_REJECTS_KEPT = 100_000


def base_report(
    key: str, label: str, problems: ProblemLog, offered: Collection[str], chosen: Collection[str]
) -> dict[str, Any]:
    """The part that imports of truth and of predictions share: the source's kind, problems by reason, fixes."""
    return {
        "importer": key,
        "importer_label": label,
        "problems": [_problem(found) for found in problems.found()],
        "fixes": [_fix(key, key in chosen) for key in FIXES if key in offered or key in chosen],
    }


def _problem(found: Any) -> dict[str, Any]:
    reason = REASONS[found.reason]
    return {
        "reason": found.reason,
        "label": reason.label,
        "explanation": reason.explanation,
        "remedy": reason.remedy,
        "fix": reason.fix,
        "count": found.count,
        "rejected": found.rejected,
        "examples": found.examples,
    }


def _fix(key: str, is_on: bool) -> dict[str, Any]:
    return {"key": key, "label": FIXES[key].label, "explanation": FIXES[key].explanation, "on": is_on}


@contextmanager
def recorded_rejects(job: ImportJob) -> Iterator[ProblemLog]:
    """A problem log whose rejected rows end in a JSON Lines file of the storage, also where the import fails."""
    settings.SCRATCH_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("w+", encoding="utf-8", suffix=".jsonl", dir=settings.SCRATCH_ROOT) as file:
        problems = ProblemLog(rejects=file.file, most_rejects=MOST_REJECTS_KEPT)
        try:
            yield problems
        finally:
            file.flush()
            _keep(job, file)


def _keep(job: ImportJob, file: IO[str]) -> None:
    """In place of those of an earlier look."""
    rows = type(job)._default_manager.filter(pk=job.pk)
    earlier = rows.values_list("rejects_file", flat=True).first()
    name = ""
    if file.tell():
        file.seek(0)
        name = default_storage.save(f"rejects/{job._meta.model_name}-{job.pk}.jsonl", File(file))
    rows.update(rejects_file=name)
    if earlier:
        default_storage.delete(earlier)


def open_rejects(job: ImportJob) -> File | None:
    """The rejected rows as JSON Lines, or None where there are none."""
    if not job.rejects_file or not default_storage.exists(job.rejects_file):
        return None
    return default_storage.open(job.rejects_file)
