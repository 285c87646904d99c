"""Celery tasks: load, call, nothing else."""

from uuid import UUID

from celery import shared_task

from datasets.runner import run_job
from evaluation import large, notifying, watching
from evaluation.models import Comparison

WITH_RUNS = [f"{side}__{name}" for side in ("baseline", "candidate") for name in ("dataset", "split")]


@shared_task
def run_comparison(job_id: int) -> None:
    job = Comparison.objects.select_related(*WITH_RUNS).filter(pk=job_id).first()
    if job is not None:
        run_job(job, lambda heartbeat: large.work_on(job, heartbeat))


@shared_task
def watch() -> None:
    """Every few seconds: judge what is new by the rules, and ring for the messages that are due."""
    watching.look()
    for pk in notifying.due():
        deliver.delay(str(pk))


@shared_task
def deliver(delivery_pk: str) -> None:
    notifying.deliver(UUID(delivery_pk))


@shared_task
def forget_old_deliveries() -> None:
    notifying.forget_old_deliveries()
