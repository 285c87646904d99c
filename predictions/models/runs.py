"""Prediction runs: one model state answering one set of questions once."""

from typing import Self

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from accounts.models import Project, User
from datasets.models import Dataset, Split
from predictions.models.sets import PredictionSetVersion
from predictions.models.training import TrainingJob


class RunOrigin(models.TextChoices):
    """The door a run came through."""

    IMPORT = "import", "Results file"
    TRAINING = "training", "Training"
    INFERENCE = "inference", "Inference"


class RunStatus(models.TextChoices):
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"


class PredictionRunQuerySet(models.QuerySet["PredictionRun"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)

    def completed(self) -> Self:
        return self.filter(status=RunStatus.COMPLETED)

    def of_images(self) -> Self:
        return self.exclude(dataset=None)

    def of_training(self, job: TrainingJob) -> Self:
        """What the job answers with today, in order of training: the latest attempt at every firing."""
        return self.filter(job=job, is_current=True).order_by("epoch", "step", "pk")


class PredictionRun(models.Model):
    """One model state answering one set of questions once.

    An imported run has a dataset, and its totals are written once, when it completes. A run of a training job has `job`,
    `set_version`, `epoch`, `step` and `attempt`; its rows come in batches, and ingest keeps its totals true.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    dataset = models.ForeignKey(Dataset, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    split = models.ForeignKey(
        Split, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text="Empty: all splits."
    )
    name = models.CharField(max_length=120)
    origin = models.CharField(max_length=12, choices=RunOrigin, default=RunOrigin.IMPORT)
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.RUNNING, editable=False)
    prediction_count = models.PositiveBigIntegerField(default=0, editable=False)
    skipped_count = models.PositiveBigIntegerField(default=0, editable=False)
    skipped = models.JSONField(default=dict, blank=True, editable=False, help_text="Skipped rows by reason.")
    category_counts = models.JSONField(default=dict, blank=True, editable=False, help_text="Objects by category id.")
    job = models.ForeignKey(TrainingJob, null=True, blank=True, on_delete=models.CASCADE, related_name="runs", db_index=False)
    set_version = models.ForeignKey(PredictionSetVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    epoch = models.FloatField(null=True, blank=True)
    step = models.PositiveBigIntegerField(null=True, blank=True)
    attempt = models.PositiveIntegerField(null=True, blank=True)
    is_current = models.BooleanField(default=True, help_text="False where a later attempt answered at the same epoch and step.")
    checkpoint = models.CharField(max_length=1000, blank=True)
    generation_params = models.JSONField(
        default=dict, blank=True, help_text="How the answers were made; versions, dtype, device."
    )
    totals = models.JSONField(default=dict, blank=True, editable=False, help_text="Sums of the scores, see predictions.totals.")
    score_version = models.CharField(max_length=20, blank=True, editable=False, help_text="Version of the score definitions.")
    validator_version = models.CharField(max_length=20, blank=True, editable=False, help_text="Version of the validators.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(
        default=timezone.now, editable=False, db_index=True, help_text="When answers of it last came in."
    )

    objects = PredictionRunQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "pk"]
        constraints = [
            # A run that is being imported under the name of one that stands becomes visible in its place, at once.
            models.UniqueConstraint(
                fields=["dataset", "name"],
                condition=models.Q(status="completed"),
                name="completed_run_name_per_dataset",
            ),
            models.UniqueConstraint(fields=["job", "set_version", "epoch", "step", "attempt"], name="one_run_per_firing"),
            models.CheckConstraint(
                condition=models.Q(dataset__isnull=False)
                | models.Q(
                    job__isnull=False, set_version__isnull=False, epoch__isnull=False, step__isnull=False, attempt__isnull=False
                ),
                name="run_has_its_questions",
            ),
        ]
        indexes = [models.Index(fields=["job", "epoch", "step"], name="run_by_job_epoch_step")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        if self.job_id:
            return f"{reverse('training:job', args=[self.job_id])}?run={self.pk}"
        return f"{reverse('predictions:images', args=[self.dataset_id])}?run={self.pk}"
