"""Celery tasks: load, call, nothing else."""

from celery import shared_task

from datasets.runner import run_job
from predictions import importing
from predictions.models import PredictionImport


@shared_task
def run_prediction_import(job_id: int) -> None:
    job = PredictionImport.objects.select_related("dataset", "upload", "created_by").filter(pk=job_id).first()
    if job is not None:
        run_job(job, lambda heartbeat: importing.run_import(job, heartbeat))
