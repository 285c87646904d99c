"""Asking for imports of ground truth: check, make the row, ring the bell."""

from collections.abc import Collection
from pathlib import Path

from django.db import transaction

from accounts.models import User
from datasets import tasks
from datasets.importers.problems import ImportRefused
from datasets.models import Dataset, DatasetImport, Upload
from datasets.requests import check_fixes, make_dataset_import


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
    """The row of a new import, queued. Raises ImportRefused for a source, importer or fix that cannot be."""
    job = make_dataset_import(
        user, dataset, split=split, upload=upload, path=path, images=images, images_upload=images_upload,
        importer=importer, fixes=fixes, replace=replace, dry_run=dry_run,
    )  # fmt: skip
    tasks.run_dataset_import.delay_on_commit(job.pk)
    return job


@transaction.atomic
def reexamine(job: DatasetImport, *, fixes: Collection[str]) -> DatasetImport:
    """Have the doctor look again, with these fixes on."""
    return _queue(job, fixes=fixes, replace=job.replace, dry_run=True)


@transaction.atomic
def confirm_import(job: DatasetImport, *, fixes: Collection[str], replace: bool) -> DatasetImport:
    """The user has seen the report and wants the import."""
    return _queue(job, fixes=fixes, replace=replace, dry_run=False)


@transaction.atomic
def retry(job: DatasetImport) -> DatasetImport:
    """Try a failed or cancelled import again, as it was."""
    return _queue(job, fixes=job.fixes, replace=job.replace, dry_run=job.dry_run)


def _queue(job: DatasetImport, *, fixes: Collection[str], replace: bool, dry_run: bool) -> DatasetImport:
    check_fixes(fixes)
    if not job.requeue():
        raise ImportRefused(
            f"This import is {job.get_status_display().lower()} and cannot be queued.", remedy="Start a new import."
        )
    DatasetImport.objects.filter(pk=job.pk).update(fixes=sorted(set(fixes)), replace=replace, dry_run=dry_run)
    job.refresh_from_db()
    tasks.run_dataset_import.delay_on_commit(job.pk)
    return job
