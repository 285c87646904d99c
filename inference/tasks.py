"""Celery tasks: load, call, nothing else. The job's row is the truth, a message only a bell."""

from celery import shared_task

from datasets.runner import run_job
from inference import checkpoints, explaining, exporting
from inference.job_files import remove_orphans
from inference.models import CheckpointExport, InferenceResult
from inference.runner import run_some
from predictions.models import Checkpoint

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


@shared_task
def run_export(job_id: int) -> None:
    job = CheckpointExport.objects.select_related("checkpoint").filter(pk=job_id).first()
    if job is not None:
        run_job(job, lambda heartbeat: exporting.export(job, heartbeat))


@shared_task
def adopt_checkpoint(checkpoint_id: int) -> None:
    checkpoint = Checkpoint.objects.select_related("job").filter(pk=checkpoint_id).first()
    if checkpoint is not None and not checkpoint.sha256:
        checkpoints.adopt(checkpoint)


@shared_task
def explain_result(result_id: int) -> None:
    result = InferenceResult.objects.select_related("job__checkpoint", "sample").filter(pk=result_id).first()
    if result is not None:
        explaining.explain(result)
