"""What models said: prediction runs and their outputs."""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from accounts.models import User
from datasets.models import Category, Dataset, Sample, Split
from datasets.models.imports import ImportJob


class RunOrigin(models.TextChoices):
    """The door a run came through."""

    IMPORT = "import", "Results file"


class RunStatus(models.TextChoices):
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"


class PredictionRunQuerySet(models.QuerySet["PredictionRun"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(dataset__project__memberships__user=user)

    def completed(self) -> Self:
        return self.filter(status=RunStatus.COMPLETED)


class PredictionRun(models.Model):
    """One model state answering one set of questions once. Totals are written once, when it completes."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
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
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PredictionRunQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "pk"]
        constraints = [
            # A run that is being imported under the name of one that stands becomes visible in its place, at once.
            models.UniqueConstraint(
                fields=["dataset", "name"],
                condition=models.Q(status="completed"),
                name="completed_run_name_per_dataset",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse('predictions:images', args=[self.dataset_id])}?run={self.pk}"


class PredictedObject(models.Model):
    """A predicted object: box (COCO xywh, pixels), score, and where the model gives them a mask and keypoints.

    Rows of a run keep file order in `id`. Deletions in bulk go through `predictions.runs`.
    """

    run = models.ForeignKey(PredictionRun, on_delete=models.CASCADE, related_name="objects_predicted", db_index=False)
    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="+")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="+")
    score = models.FloatField()
    x = models.FloatField(null=True)
    y = models.FloatField(null=True)
    width = models.FloatField(null=True)
    height = models.FloatField(null=True)
    area = models.FloatField(null=True)
    segmentation = models.JSONField(null=True)
    keypoints = ArrayField(models.FloatField(), null=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["run", "sample"], name="predicted_by_run_sample")]

    def __str__(self) -> str:
        return f"predicted object {self.pk}"


class PredictionImport(ImportJob):
    """One import of a results file into a named run."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(PredictionRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    run_name = models.CharField(max_length=120, default="prediction")

    def __str__(self) -> str:
        return f"import {self.pk} of {self.source_name}"

    def get_absolute_url(self) -> str:
        return reverse("predictions:import_detail", args=[self.pk])

    def get_result_url(self) -> str:
        """Where to see what was imported."""
        return self.run.get_absolute_url() if self.run else self.dataset.get_absolute_url()

    def existing(self) -> dict[str, int] | None:
        """The run of that name, which this import would replace."""
        runs = PredictionRun.objects.completed().filter(dataset=self.dataset_id, name=self.run_name)
        run = runs.exclude(pk=self.run_id).first()
        return {"runs": 1, "predictions": run.prediction_count} if run else None
