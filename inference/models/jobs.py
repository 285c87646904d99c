"""A checkpoint on images: the job, split into chunks that several workers share."""

from dataclasses import fields
from functools import cached_property
from typing import Self

from django.db import models
from django.urls import reverse
from django.utils import timezone

from accounts.models import Project, User
from datasets.models import Category, Dataset, Job, JobQuerySet, Split, Upload
from inference.adapters.base import InferenceSettings
from predictions.models import Checkpoint, PredictionRun

MANY = 30_000


class InferenceKind(models.TextChoices):
    SINGLE = "single", "One image"
    BATCH = "batch", "Batch"
    DATASET = "dataset", "Dataset"


class InferenceJobQuerySet(JobQuerySet):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)


class InferenceJob(Job):
    """A checkpoint asked about images: one, a batch of uploaded ones, or a dataset's split, which makes a prediction run.

    `image_count` is known from the start; `done_count` and `failed_count` (images that could not be read) grow by chunks.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=InferenceKind)
    name = models.CharField(max_length=200, blank=True)
    dataset = models.ForeignKey(Dataset, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    split = models.ForeignKey(Split, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(PredictionRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    upload = models.ForeignKey(
        Upload,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="A ZIP of images, unpacked by the work.",
    )
    settings = models.JSONField(default=dict, blank=True, help_text="Confidence, IoU and the rest that was asked for.")
    image_count = models.PositiveIntegerField(default=0, editable=False)
    done_count = models.PositiveIntegerField(default=0, editable=False)
    failed_count = models.PositiveIntegerField(default=0, editable=False)
    device = models.CharField(max_length=80, blank=True, editable=False, help_text="What it ran on.")
    batch_size = models.PositiveIntegerField(null=True, editable=False, help_text="As measured when the weights were loaded.")

    # Its chunks count theirs: a job of days outlives many workers.
    most_attempts = MANY

    objects = InferenceJobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["project", "-id"], name="inference_by_project")]

    def __str__(self) -> str:
        return self.name or f"inference {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("inference:job", args=[self.pk])

    @property
    def asked(self) -> InferenceSettings:
        """The settings of the answers: what was asked for, the rest as usual."""
        known = {field.name for field in fields(InferenceSettings)}
        return InferenceSettings(**{name: value for name, value in self.settings.items() if name in known})

    @cached_property
    def skeletons(self) -> dict[tuple[str, int], list[tuple[int, int]]]:
        """Which points of a pose hang together (numbers from 0), by class and count of points, as the project's datasets tell."""
        told = Category.objects.filter(dataset__project=self.project_id).exclude(skeleton=[]).order_by("pk")
        return {
            (name, len(points)): [
                (one - 1, other - 1) for one, other in pairs if min(one, other) >= 1 and max(one, other) <= len(points)
            ]
            for name, points, pairs in told.values_list("name", "keypoint_names", "skeleton")
        }

    @property
    def images_per_second(self) -> float | None:
        """At the pace so far, or as it was."""
        if not self.started_at or not self.progress_done:
            return None
        seconds = ((self.finished_at or timezone.now()) - self.started_at).total_seconds()
        return self.progress_done / seconds if seconds > 0 else None


class ChunkStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"


class InferenceChunk(models.Model):
    """Some images of a job, `first` to `last` by position: what one worker takes at a time, and writes in one transaction.

    A worker that dies leaves a heart that stopped; the chunk is taken anew, and what it had not committed never was.
    """

    job = models.ForeignKey(InferenceJob, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=ChunkStatus, default=ChunkStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    done_count = models.PositiveIntegerField(default=0, help_text="Of a running chunk: images so far, not stored yet.")
    heartbeat_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["job", "first"]
        constraints = [models.UniqueConstraint(fields=["job", "first"], name="chunk_once_per_job")]
        indexes = [models.Index(fields=["job", "status", "first"], name="chunk_by_job_status")]

    def __str__(self) -> str:
        return f"images {self.first} to {self.last} of {self.job_id}"
