"""Asking for imports of results: check, make the row, ring the bell or do it at once."""

from collections.abc import Collection
from pathlib import Path

from django.db import transaction

from accounts.models import User
from datasets.models import Dataset, JobStatus, Upload
from datasets.requests import ImportConflict, check_decidable, check_fixes
from datasets.runner import run_job
from predictions import importing, tasks
from predictions.models import PredictionImport
from predictions.requests import make_prediction_import


def start_prediction_import(
    user: User | None,
    dataset: Dataset,
    *,
    name: str = "prediction",
    split: str = "",
    upload: Upload | None = None,
    path: Path | None = None,
    fixes: Collection[str] = (),
    dry_run: bool = False,
    wait: bool = False,
) -> PredictionImport:
    """The row of a new import: queued, or with `wait` done at once by this process. Raises ImportRefused."""
    job = make_prediction_import(user, dataset, name=name, split=split, upload=upload, path=path, fixes=fixes, dry_run=dry_run)
    if wait:
        run_job(job, lambda heartbeat: importing.run_import(job, heartbeat))
    else:
        tasks.run_prediction_import.delay_on_commit(job.pk)
    return job


def reexamine(job: PredictionImport, *, fixes: Collection[str]) -> PredictionImport:
    """Have the doctor look again, with these fixes on; also while he is still looking."""
    check_decidable(job, also=[JobStatus.PENDING, JobStatus.RUNNING] if job.dry_run else [])
    return _queue(job, fixes=fixes, dry_run=True)


def confirm_import(job: PredictionImport, *, fixes: Collection[str]) -> PredictionImport:
    """The user has seen the report and wants the run."""
    check_decidable(job)
    return _queue(job, fixes=fixes, dry_run=False)


def retry(job: PredictionImport) -> PredictionImport:
    """Try a failed or cancelled import again, as it was."""
    check_decidable(job)
    return _queue(job, fixes=job.fixes, dry_run=job.dry_run)


@transaction.atomic
def _queue(job: PredictionImport, *, fixes: Collection[str], dry_run: bool) -> PredictionImport:
    check_fixes(fixes)
    if not job.queue_with(fixes=sorted(set(fixes)), dry_run=dry_run):
        raise ImportConflict("This import has been completed meanwhile.", remedy="Start a new one.")
    tasks.run_prediction_import.delay_on_commit(job.pk)
    return job
