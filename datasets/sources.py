"""Where an import reads from: an upload, or a path on the server that it may read."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from django.conf import settings

from datasets import archives, importers
from datasets.importers.base import Record, Source
from datasets.importers.problems import ImportRefused, ProblemLog
from datasets.models import DatasetImport
from datasets.models.imports import ImportJob
from datasets.runner import Heartbeat

Progress = Callable[[int, int, str], None]


def server_path(text: str) -> Path:
    """The path inside TOUCHSTONE_IMPORT_ROOTS that the text names, symbolic links resolved. Raises ImportRefused.

    What lies outside the roots is answered alike whether it exists or not.
    """
    if not settings.IMPORT_ROOTS:
        raise ImportRefused(
            "This server takes no paths.",
            remedy="Upload the file, or let its keeper name folders in TOUCHSTONE_IMPORT_ROOTS.",
        )
    roots = ", ".join(str(root) for root in settings.IMPORT_ROOTS)
    outside = ImportRefused(
        "The path is outside the folders that this server may import from.",
        where=text,
        remedy=f"Put the files into one of: {roots}. Symbolic links that leave it do not count.",
    )
    if "\0" in text:
        raise outside
    path = Path(text)
    if not path.is_absolute():
        path = settings.IMPORT_ROOTS[0] / path
    try:
        path = path.resolve()
    except (OSError, RuntimeError):
        raise outside from None
    if not any(path.is_relative_to(root) for root in settings.IMPORT_ROOTS):
        raise outside
    if not path.exists():
        raise ImportRefused("There is no such file or folder.", where=text, remedy=f"The folders to import from: {roots}.")
    return path


@contextmanager
def opened(job: ImportJob, progress: Progress) -> Iterator[Path]:
    """The file or folder that the job imports; a ZIP archive is unpacked into a scratch folder for as long as it takes."""
    path = _raw_path(job)
    if path.is_file() and zipfile.is_zipfile(path):
        with _unpacked(path, progress) as folder:
            yield folder
    else:
        yield path


@contextmanager
def records(job: DatasetImport, heartbeat: Heartbeat, problems: ProblemLog) -> Iterator[tuple[str, Iterator[Record]]]:
    """The importer's key and the records of the job's source."""
    with opened(job, heartbeat.progress) as path:
        key = job.importer or importers.sniff(path)
        source = Source(
            path=path,
            images=_images_folder(job, path),
            split=job.split_name,
            task_type=job.dataset.task_type,
            fixes=frozenset(job.fixes),
            progress=partial(heartbeat.progress, stage="reading"),
        )
        yield key, importers.get_importer(key).read(source, problems)


def _images_folder(job: DatasetImport, path: Path) -> Path | None:
    """The named folder; for an unpacked archive or a folder, that itself: file names are looked up below it."""
    if job.images_path:
        return Path(job.images_path)
    return path if path.is_dir() else None


def _raw_path(job: ImportJob) -> Path:
    if job.source_path:
        path = Path(job.source_path)
    elif job.upload is not None:
        path = job.upload.path
    else:
        raise ImportRefused("The uploaded file is gone.", remedy="Upload it again.")
    if not path.exists():
        raise ImportRefused("The source is no longer there.", where=job.source_name, remedy="Put it back, or upload it again.")
    return path


@contextmanager
def _unpacked(path: Path, progress: Progress) -> Iterator[Path]:
    settings.SCRATCH_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="zip-", dir=settings.SCRATCH_ROOT))
    try:
        archives.extract_zip(
            path,
            folder,
            max_files=settings.MAX_ARCHIVE_FILES,
            max_bytes=settings.MAX_ARCHIVE_BYTES,
            max_ratio=200,
            progress=lambda done, total: progress(done, total, "unpacking the archive"),
        )
        yield _only_folder(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _only_folder(folder: Path) -> Path:
    """Archives often hold everything in one folder of their own name: step into it."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
