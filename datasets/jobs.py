"""Asking for imports of ground truth: check, make the row, ring the bell."""

from collections.abc import Collection
from pathlib import Path

from django.db import transaction

from accounts.models import User
from datasets import tasks
from datasets.models import Dataset, DatasetImport, JobStatus, Upload
from datasets.requests import ImportConflict, check_decidable, check_fixes, check_replacement, make_dataset_import


def start_dataset_import(
    user: User | None,
    dataset: Dataset,
    *,
    split: str = "val",
    upload: Upload | None = None,
    path: Path | None = None,
    images: Path | None = None,
    images_upload: Upload | None = None,
    importer: str = "",
    fixes: Collection[str] = (),
    replace: bool = False,
    dry_run: bool = True,
) -> DatasetImport:
    """The row of a new import, queued. Raises ImportRefused for a source, importer or fix that cannot be, or ImportConflict."""
    if not dry_run:
        check_replacement(dataset, split, replace=replace)
    job = make_dataset_import(
        user, dataset, split=split, upload=upload, path=path, images=images, images_upload=images_upload,
        importer=importer, fixes=fixes, replace=replace, dry_run=dry_run,
    )  # fmt: skip
    tasks.run_dataset_import.delay_on_commit(job.pk)
    return job


def reexamine(job: DatasetImport, *, fixes: Collection[str]) -> DatasetImport:
    """Have the doctor look again, with these fixes on; also while he is still looking."""
    check_decidable(job, also=[JobStatus.PENDING, JobStatus.RUNNING] if job.dry_run else [])
    return _queue(job, fixes=fixes, replace=job.replace, dry_run=True)


def confirm_import(job: DatasetImport, *, fixes: Collection[str], replace: bool) -> DatasetImport:
    """The user has seen the report and wants the import. Raises ImportConflict."""
    check_decidable(job)
    check_replacement(job.dataset, job.split_name, replace=replace)
    return _queue(job, fixes=fixes, replace=replace, dry_run=False)


def retry(job: DatasetImport) -> DatasetImport:
    """Try a failed or cancelled import again, as it was."""
    check_decidable(job)
    return _queue(job, fixes=job.fixes, replace=job.replace, dry_run=job.dry_run)


@transaction.atomic
def _queue(job: DatasetImport, *, fixes: Collection[str], replace: bool, dry_run: bool) -> DatasetImport:
    check_fixes(fixes)
    if not job.queue_with(fixes=sorted(set(fixes)), replace=replace, dry_run=dry_run):
        raise ImportConflict("This import has been completed meanwhile.", remedy="Start a new one.")
    tasks.run_dataset_import.delay_on_commit(job.pk)
    return job
