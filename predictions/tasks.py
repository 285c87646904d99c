"""Celery tasks: load, call, nothing else."""

import logging

from celery import shared_task

from datasets.runner import run_job
from predictions import importing, leakage_checks
from predictions.models import LeakageCheck, PredictionImport

log = logging.getLogger("touchstone.jobs")


@shared_task
def run_prediction_import(job_id: int) -> None:
    job = PredictionImport.objects.select_related("dataset", "upload", "created_by").filter(pk=job_id).first()
    if job is not None:
        run_job(job, lambda heartbeat: importing.run_import(job, heartbeat))


@shared_task
def run_leakage_check(check_id: int) -> None:
    check = LeakageCheck.objects.select_related(*leakage_checks.WITH).filter(pk=check_id).first()
    if check is None:
        return
    try:
        run_job(check, lambda heartbeat: leakage_checks.work_on(check, heartbeat))
    except LeakageCheck.DoesNotExist:
        log.info("leakage check %s was deleted with its set while it ran", check_id)
