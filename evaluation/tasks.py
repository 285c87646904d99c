"""Celery tasks: load, call, nothing else."""

from celery import shared_task

from datasets.runner import run_job
from evaluation import large
from evaluation.models import Comparison

WITH_RUNS = [f"{side}__{name}" for side in ("baseline", "candidate") for name in ("dataset", "split")]


@shared_task
def run_comparison(job_id: int) -> None:
    job = Comparison.objects.select_related(*WITH_RUNS).filter(pk=job_id).first()
    if job is not None:
        run_job(job, lambda heartbeat: large.work_on(job, heartbeat))
