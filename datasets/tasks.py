"""Celery tasks: load, call, nothing else. The job's row is the truth, a message only a bell."""

from celery import shared_task

from datasets.models import DatasetImport
from datasets.recovery import ring_forgotten
from datasets.runner import run_job
from datasets.uploads import remove_stale_uploads
from datasets.work import work_on


@shared_task
def run_dataset_import(job_id: int) -> None:
    job = DatasetImport.objects.select_related("dataset", "upload", "images_upload").filter(pk=job_id).first()
    if job is not None:
        run_job(job, lambda heartbeat: work_on(job, heartbeat))


@shared_task
def ring_forgotten_jobs() -> None:
    ring_forgotten()


@shared_task
def sweep_uploads() -> None:
    remove_stale_uploads()
