"""A checkpoint in another format, and whether it still says the same."""

from typing import Self

from django.db import models
from django.urls import reverse

from accounts.models import User
from datasets.models import Job, JobQuerySet
from predictions.models import Checkpoint


class ExportFormat(models.TextChoices):
    ONNX = "onnx", "ONNX"
    TORCHSCRIPT = "torchscript", "TorchScript"


class CheckpointExportQuerySet(JobQuerySet):
    def visible_to(self, user: User) -> Self:
        return self.filter(checkpoint__project__memberships__user=user)


class CheckpointExport(Job):
    """`report` holds the parity verdict: {"largest_difference", "image_count", "changed": [{"name", "what"}]}."""

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(max_length=20, choices=ExportFormat)
    file = models.CharField(max_length=1000, blank=True, editable=False, help_text="Name in the file storage.")
    file_size = models.PositiveBigIntegerField(null=True, editable=False, help_text="Bytes.")

    objects = CheckpointExportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.get_format_display()} of {self.checkpoint}"

    def get_absolute_url(self) -> str:
        return reverse("inference:checkpoint", args=[self.checkpoint_id])
