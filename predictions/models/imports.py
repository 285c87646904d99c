"""Imports of results files."""

from django.db import models
from django.urls import reverse

from datasets.models import Dataset
from datasets.models.imports import ImportJob
from predictions.models.runs import PredictionRun


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
