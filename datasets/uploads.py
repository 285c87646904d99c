"""Uploads: files that arrive in pieces, may be interrupted, and go when nothing wants them any more."""

import errno
import os
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction
from django.utils import timezone

from accounts.models import Project, User
from datasets.importers.problems import ImportRefused
from datasets.models import Job, JobStatus, Upload

PIECE = 1024 * 1024
KEPT = timedelta(days=7)
LONGEST_NAME = 200  # bytes, ending included
LONGEST_ENDING = 20


class UploadRefused(Exception):
    """The upload cannot be taken: why, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


class TooLarge(UploadRefused):
    pass


class NoRoom(UploadRefused):
    pass


class OffsetConflict(UploadRefused):
    """The sender and we do not agree on what has arrived; `received` (bytes) is our account."""

    def __init__(self, received: int) -> None:
        super().__init__(
            f"{received:,} bytes have arrived; the next must start there.", "Ask for the offset and resume from it."
        )
        self.received = received


class UploadInUse(UploadRefused):
    pass


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


# --- Arriving --------------------------------------------------------------------------------------------------------
def create_upload(user: User, project: Project, file_name: str, size: int) -> Upload:
    """An empty upload of `size` bytes to come. Raises TooLarge and NoRoom before the first byte is sent."""
    check_size(size)
    root = _upload_root()
    if shutil.disk_usage(root).free < size:
        raise _no_room()
    upload = Upload(project=project, owner=user, file_name=clean_file_name(file_name), size=size)
    os.close(os.open(upload.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    upload.save()
    return upload


def append(upload: Upload, offset: int, source: Readable) -> None:
    """Write what `source` gives at `offset` (bytes). Where the connection breaks, what came before is kept.

    Each piece is written and counted under a lock of the row, so of two senders one goes on and the other is told
    (OffsetConflict). Raises NoRoom where the disk is full.
    """
    if upload.received != offset:
        raise OffsetConflict(upload.received)
    with upload.path.open("r+b", buffering=0) as file:
        try:
            while piece := _next_piece(source, upload.size - upload.received):
                _write(upload, file, piece)
        finally:
            os.fsync(file.fileno())


def _next_piece(source: Readable, room: int) -> bytes:
    try:
        return source.read(min(PIECE, room))
    except OSError:  # the sender is gone
        return b""


def _write(upload: Upload, file: Any, piece: bytes) -> None:
    with transaction.atomic():
        locked = Upload.objects.select_for_update(no_key=True).get(pk=upload.pk)
        if locked.received != upload.received:
            raise OffsetConflict(locked.received)
        file.seek(locked.received)
        try:
            _write_all(file, piece)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _no_room() from None
            raise
        locked.received += len(piece)
        locked.save(update_fields=["received", "touched_at"])
    upload.received = locked.received


def _write_all(file: BinaryIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def store_file(user: User, project: Project, file: TemporaryUploadedFile) -> Upload:
    """A file that came whole, with a form: it lies in the upload folder already and is only renamed."""
    check_size(file.size or 0)
    upload = Upload(project=project, owner=user, file_name=clean_file_name(file.name or ""), size=file.size, received=file.size)
    Path(file.temporary_file_path()).replace(upload.path)
    upload.save()
    return upload


def check_size(size: int) -> None:
    if size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(
            f"The file has {size / 1024**2:,.0f} MB; this server takes up to {settings.MAX_UPLOAD_BYTES / 1024**2:,.0f} MB.",
            "Import it from a folder on the server, or have TOUCHSTONE_MAX_UPLOAD_MB raised.",
        )


def clean_file_name(name: str) -> str:
    """The last part of a sender's file name, printable, as long as file systems allow; its ending stays."""
    last = PurePosixPath(name.replace("\\", "/")).name
    plain = "".join(character for character in last if character.isprintable()).strip()
    if plain.strip(".") == "":
        return "upload"
    ending = Path(plain).suffix[:LONGEST_ENDING]
    stem = plain.removesuffix(ending).encode()[: LONGEST_NAME - len(ending.encode())]
    return stem.decode(errors="ignore") + ending


def _upload_root() -> Path:
    root = Path(settings.UPLOAD_ROOT)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root


def _no_room() -> NoRoom:
    return NoRoom(
        "The disk of this server is full.",
        "What arrived is kept: ask the server's keeper for room, then resume. Or import from a folder on the server.",
    )


# --- Used ------------------------------------------------------------------------------------------------------------
def given_upload(user: User, project: Project, *, file: TemporaryUploadedFile | None, upload: UUID | None) -> Upload | None:
    """What somebody sent along with a request or beforehand. Raises ImportRefused and UploadRefused."""
    if file is not None:
        return store_file(user, project, file)
    if upload is None:
        return None
    found = Upload.objects.visible_to(user).filter(project=project, pk=upload).first()
    if found is None:
        raise ImportRefused(
            "There is no such upload of yours in this project.", where=f"upload {upload}", remedy="Upload the file again."
        )
    return found


# --- Going -----------------------------------------------------------------------------------------------------------
def remove_upload(upload: Upload) -> None:
    """The row and its bytes. Raises UploadInUse while an import reads it."""
    if any(job.is_active for job in _jobs_of(upload)):
        raise UploadInUse("An import is reading this upload.", "Wait for it to end, or cancel it.")
    path = upload.path
    upload.delete()
    path.unlink(missing_ok=True)


def remove_stale_uploads() -> int:
    """Remove uploads that were left unfinished, that were imported, or that nobody made anything of; returns how many."""
    long_ago = timezone.now() - KEPT
    stale = [upload for upload in Upload.objects.all() if _is_done_with(upload, long_ago)]
    for upload in stale:
        remove_upload(upload)
    _remove_orphans(long_ago.timestamp())
    return len(stale)


def _is_done_with(upload: Upload, long_ago: Any) -> bool:
    """Imports that failed, were cancelled or wait for an answer may be taken up again, for a while."""
    jobs = list(_jobs_of(upload))
    if any(job.is_active or (job.status != JobStatus.COMPLETED and job.queued_at > long_ago) for job in jobs):
        return False
    return upload.touched_at < long_ago or any(job.status == JobStatus.COMPLETED for job in jobs)


def _jobs_of(upload: Upload) -> Iterable[Job]:
    """Imports of any app that read this upload."""
    for relation in Upload._meta.get_fields(include_hidden=True):
        if relation.one_to_many and issubclass(relation.related_model, Job):  # type: ignore[arg-type]
            jobs: Any = relation.related_model
            yield from jobs.objects.filter(**{relation.field.name: upload})  # type: ignore[union-attr]


def _remove_orphans(long_ago: float) -> None:
    """Bytes without a row: their project or owner was deleted, or a form's file was given up."""
    known = {key.hex for key in Upload.objects.values_list("pk", flat=True)}
    for path in _upload_root().iterdir():
        if path.name not in known and path.stat().st_mtime < long_ago:
            path.unlink(missing_ok=True)
