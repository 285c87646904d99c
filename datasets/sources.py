"""Where an import reads from: an upload, or a path on the server that it may read."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from django.conf import settings

from datasets import archives, importers
from datasets.importers.base import Record, Source
from datasets.importers.problems import ImportRefused, ProblemLog
from datasets.models import DatasetImport, Upload
from datasets.models.imports import ImportJob
from datasets.runner import Heartbeat
from datasets.uploads import clean_file_name

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
        where=text[:200],
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
    if not os.path.exists(path):  # noqa: PTH110 - false also for names that are too long or behind a closed door
        raise ImportRefused(
            "There is no such file or folder.", where=text[:200], remedy=f"The folders to import from: {roots}."
        )
    return path


@contextmanager
def opened(job: ImportJob, progress: Progress) -> Iterator[Path]:
    """The file or folder that the job imports; a ZIP archive is unpacked into a scratch folder for as long as it takes."""
    with unpacked_or_itself(job.upload, job.source_path, job.source_name, progress) as path:
        yield path


@contextmanager
def records(job: DatasetImport, heartbeat: Heartbeat, problems: ProblemLog) -> Iterator[tuple[str, Iterator[Record]]]:
    """The importer's key and the records of the job's source."""
    with ExitStack() as stack:
        path = stack.enter_context(opened(job, heartbeat.progress))
        images = path if path.is_dir() else None  # file names are looked up below a folder or an unpacked archive
        if job.images_path or job.images_upload:
            name = job.images_upload.file_name if job.images_upload else job.images_path
            images = stack.enter_context(unpacked_or_itself(job.images_upload, job.images_path, name, heartbeat.progress))
        key = job.importer or importers.sniff(path)
        source = Source(
            path=path,
            images=images,
            split=job.split_name,
            task_type=job.dataset.task_type,
            fixes=frozenset(job.fixes),
            progress=partial(heartbeat.progress, stage="reading"),
            most_pixels=settings.MAX_IMAGE_PIXELS,
        )
        yield key, importers.get_importer(key).read(source, problems)


@contextmanager
def unpacked_or_itself(upload: Upload | None, path_text: str, name: str, progress: Progress) -> Iterator[Path]:
    """An upload, or a path on the server, by its name; a ZIP archive is unpacked for as long as it takes."""
    if not upload and not path_text:
        raise ImportRefused("The uploaded file is gone.", where=name, remedy="Upload it again.")
    path = upload.path if upload else Path(path_text)
    if not path.exists():
        raise ImportRefused("The source is no longer there.", where=name, remedy="Put it back, or upload it again.")
    with _scratch_folder() as folder:
        # Importers speak of a source by its name, and go by its ending; an upload's bytes lie under a name of ours.
        named = folder / clean_file_name(name)
        if path.is_file() and zipfile.is_zipfile(path):
            yield _unpack(path, named, progress)
        elif upload:
            yield _link(path, named)
        else:
            yield path


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    settings.SCRATCH_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="source-", dir=settings.SCRATCH_ROOT))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(path: Path, folder: Path, progress: Progress) -> Path:
    folder.mkdir()
    archives.extract_zip(
        path,
        folder,
        max_files=settings.MAX_ARCHIVE_FILES,
        max_bytes=settings.MAX_ARCHIVE_BYTES,
        max_ratio=200,
        progress=lambda done, total: progress(done, total, "unpacking the archive"),
    )
    return _only_folder(folder)


def _link(path: Path, named: Path) -> Path:
    try:
        os.link(path, named)
    except OSError:  # a file system without hard links
        named.symlink_to(path)
    return named


def _only_folder(folder: Path) -> Path:
    """Archives often hold everything in one folder of their own name: step into it."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
