"""Celery tasks: load, call, nothing else. The job's row is the truth, a message only a bell."""

from celery import shared_task

from inference.job_files import remove_orphans
from inference.runner import run_some

# Of messages in Redis 0 goes first: a single image, for which somebody waits, before the next chunks of a batch.
SOON, LATER = 0, 9


@shared_task
def run_inference(job_id: int) -> None:
    run_some(job_id, ring_later)


def ring_later(job_id: int) -> None:
    run_inference.apply_async([job_id], priority=LATER)


@shared_task
def sweep_files() -> None:
    remove_orphans()
