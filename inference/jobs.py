"""Asking for inference: rows are made, the bell is rung; waiting for a single image; ending, repeating and deleting jobs."""

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from datasets.models import Dataset, JobStatus, Sample, Split, Upload
from datasets.workers import is_served
from inference import requests, tasks
from inference.job_files import remove_files_of
from inference.models import InferenceJob, InferenceKind
from inference.requests import NewImage, RequestRefused
from inference.storing import drop_partial_run
from predictions.models import Checkpoint

ASKED_EVERY = 0.01  # seconds, at first
SLOWEST_PAUSE = 0.1
# Of the threads of a web process; the others must stay free to answer.
MOST_WAITING = 2
_waiting = threading.BoundedSemaphore(MOST_WAITING)


# So long a job may wait before anybody asks why.
UNREMARKABLE = timedelta(seconds=3)


class JobEnded(RequestRefused):
    """The job is in another state."""


def start_single(user: User, checkpoint: Checkpoint, image: NewImage, settings: dict[str, Any]) -> InferenceJob:
    return _rung(requests.make_image_job(user, checkpoint, [image], settings, single=True))


def start_batch(user: User, checkpoint: Checkpoint, images: Sequence[NewImage], settings: dict[str, Any]) -> InferenceJob:
    return _rung(requests.make_image_job(user, checkpoint, images, settings))


def start_archive(user: User, checkpoint: Checkpoint, upload: Upload, settings: dict[str, Any]) -> InferenceJob:
    return _rung(requests.make_archive_job(user, checkpoint, upload, settings))


def start_samples(user: User, checkpoint: Checkpoint, samples: Sequence[Sample], settings: dict[str, Any]) -> InferenceJob:
    return _rung(requests.make_sample_job(user, checkpoint, samples, settings))


def start_dataset(
    user: User, checkpoint: Checkpoint, dataset: Dataset, split: Split, settings: dict[str, Any], *, name: str = ""
) -> InferenceJob:
    return _rung(requests.make_dataset_job(user, checkpoint, dataset, split, settings, name=name))


def repeat(job: InferenceJob, user: User | None, checkpoint: Checkpoint | None = None) -> InferenceJob:
    """The same once more, as a job of its own; with another checkpoint where one is given."""
    return _rung(requests.copy_of(job, user, checkpoint or job.checkpoint))


def _rung(job: InferenceJob) -> InferenceJob:
    """A single image overtakes the chunks of batches."""
    priority = tasks.SOON if job.kind == InferenceKind.SINGLE else tasks.LATER
    transaction.on_commit(partial(tasks.run_inference.apply_async, [job.pk], priority=priority))
    return job


def wait_for(job: InferenceJob, seconds: float) -> bool:
    """Whether the job ended within this time. At once False where as many others wait in this process as may."""
    if not _waiting.acquire(blocking=False):
        return False
    try:
        return _ended_within(job, seconds)
    finally:
        _waiting.release()


def _ended_within(job: InferenceJob, seconds: float) -> bool:
    until, pause = time.monotonic() + seconds, ASKED_EVERY
    while True:
        status = InferenceJob.objects.filter(pk=job.pk).values_list("status", flat=True).first()
        if status not in (JobStatus.PENDING, JobStatus.RUNNING):
            job.refresh_from_db()
            return True
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(SLOWEST_PAUSE, pause * 1.1)


def waiting(job: InferenceJob) -> str:
    """Why a job has not begun, where it is time to say so: `no_worker`, or `queue` where one lives and has other work."""
    if job.status != JobStatus.PENDING or timezone.now() - job.created_at < UNREMARKABLE:
        return ""
    return "queue" if is_served("gpu") else "no_worker"


@transaction.atomic
def cancel(job: InferenceJob) -> None:
    """Stop it between two batches; what it had predicted on a dataset goes. Raises JobEnded."""
    if not job.cancel():
        raise JobEnded(f"This job is {job.get_status_display().lower()}; there is nothing to cancel.")
    drop_partial_run(job)


@transaction.atomic
def delete_job(job: InferenceJob) -> None:
    """The job with its results and images. A run that it completed stays: it belongs to the dataset."""
    transaction.on_commit(partial(remove_files_of, job.pk))
    job.cancel()
    drop_partial_run(job)
    job.delete()
