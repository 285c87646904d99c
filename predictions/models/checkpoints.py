"""Saved model states."""

from typing import Self

from django.conf import settings
from django.db import models

from accounts.models import Project, User
from predictions.models.training import TrainingJob, task_type_choices


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)

    def runnable(self) -> Self:
        """Those whose weights are here and can be run; the others are known by the path that a training told of."""
        return self.exclude(sha256="")


class Checkpoint(models.Model):
    """A saved model state: of a training job, or standing alone.

    One that a training only told of has the training machine's `path` and nothing else. A registered one has the digest of its
    weights, which stand at `path` on this server or, where they were uploaded, under `file` in the file storage.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    job = models.ForeignKey(TrainingJob, null=True, blank=True, on_delete=models.CASCADE, related_name="checkpoints")
    name = models.CharField(max_length=200, blank=True)
    path = models.CharField(max_length=1000, blank=True)
    file = models.CharField(max_length=1000, blank=True, editable=False, help_text="Name in the file storage, if uploaded.")
    framework = models.CharField(max_length=40, blank=True, help_text="The key of the adapter that runs it.")
    architecture = models.CharField(max_length=200, blank=True)
    task_type = models.CharField(max_length=20, choices=task_type_choices, blank=True)
    class_names = models.JSONField(default=list, blank=True, help_text="Names of the classes, in order of the outputs.")
    preprocessing = models.JSONField(
        default=dict, blank=True, help_text="Input size and the rest, as the adapter applies them."
    )
    inspection = models.JSONField(default=dict, blank=True, help_text="What loading it would run, found without loading it.")
    epoch = models.FloatField(null=True, blank=True)
    step = models.PositiveBigIntegerField(null=True, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    file_size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["job", "step", "pk"]
        constraints = [models.UniqueConstraint(fields=["job", "step", "path"], name="checkpoint_once_per_step")]
        indexes = [
            models.Index(fields=["project", "-id"], name="checkpoint_by_project"),
            models.Index(fields=["sha256"], name="checkpoint_by_digest"),
        ]

    def __str__(self) -> str:
        return self.name or self.path
