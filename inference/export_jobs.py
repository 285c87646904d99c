"""Asking workers about checkpoints: for an export, or to look at a file that a training has just saved."""

from django.conf import settings

from accounts.models import User
from inference import tasks
from inference.checkpoints import CheckpointRefused
from inference.models import CheckpointExport, ExportFormat
from predictions.models import Checkpoint

EXPORTED_FROM = ("timm", "ultralytics")


def start_export(checkpoint: Checkpoint, format: str, user: User | None) -> CheckpointExport:
    """The row of a new export, queued. Raises CheckpointRefused."""
    if checkpoint.framework not in EXPORTED_FROM or not checkpoint.sha256:
        raise CheckpointRefused(
            f"A checkpoint of '{checkpoint.framework or 'unknown'}' cannot be exported.",
            f"Exports are made of those of {' and '.join(EXPORTED_FROM)} whose file is here.",
        )
    job = CheckpointExport.objects.create(checkpoint=checkpoint, format=ExportFormat(format), created_by=user)
    tasks.run_export.delay_on_commit(job.pk)
    return job


def register_soon(checkpoint: Checkpoint) -> None:
    """A training has told of a file: a worker looks whether it lies in a folder of this server."""
    if settings.CHECKPOINT_ROOTS and not checkpoint.sha256:
        tasks.adopt_checkpoint.delay_on_commit(checkpoint.pk)
