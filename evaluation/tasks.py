"""Celery tasks: load, call, nothing else."""

import logging

from celery import shared_task

from datasets.runner import run_job
from evaluation import judging, large, reconciling, test_runs
from evaluation.models import Comparison, TestRun

log = logging.getLogger("touchstone.jobs")

WITH_RUNS = [f"{side}__{name}" for side in ("baseline", "candidate") for name in ("dataset", "split")]


WITH_TEST = ["dataset", "split", "set_version", "prediction_run", "inference__run"]


@shared_task
def run_test(test_run_id: int) -> None:
    test_run = TestRun.objects.select_related(*WITH_TEST).filter(pk=test_run_id).first()
    if test_run is None or test_runs.still_waits(test_run):
        return
    try:
        run_job(test_run, lambda heartbeat: judging.work_on(test_run, heartbeat))
    except TestRun.DoesNotExist:
        log.info("test run %s was deleted while it ran", test_run_id)


@shared_task
def reconcile_test(test_run_id: int) -> None:
    test_run = TestRun.objects.select_related(*WITH_TEST).filter(pk=test_run_id).first()
    if test_run is not None and reconciling.kept(test_run) is None:
        reconciling.make(test_run)


@shared_task
def go_on_with_tests() -> None:
    """Ring for those whose predictions have come. Nothing is lost without this: it is rung for them again and again."""
    for key in test_runs.waiting().values_list("pk", flat=True):
        run_test.delay(key)


@shared_task
def run_comparison(job_id: int) -> None:
    job = Comparison.objects.select_related(*WITH_RUNS).filter(pk=job_id).first()
    if job is not None:
        run_job(job, lambda heartbeat: large.work_on(job, heartbeat))
