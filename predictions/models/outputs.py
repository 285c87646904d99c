"""The outputs of runs: one row per object in an image, one per answer to a question."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from datasets.models import Category, Sample
from predictions.models.runs import PredictionRun
from predictions.models.sets import PredictionSetItem


class PredictedObject(models.Model):
    """A predicted object: box (COCO xywh, pixels), score, and where the model gives them a mask and keypoints.

    `area` (pixels) is what sizes go by: the mask's where results gave no box; empty, it is the box's, as pycocotools has it.
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


class PredictedLabel(models.Model):
    """What a classifier said of a whole image: how sure it was of every class. Its first choice is a predicted object as well.

    `probabilities` lie in 0..1, in the order of the run's class names (`generation_params["class_names"]`).
    """

    run = models.ForeignKey(PredictionRun, on_delete=models.CASCADE, related_name="labels_predicted", db_index=False)
    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="+")
    probabilities = ArrayField(models.FloatField())

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["run", "sample"], name="one_label_per_run_and_sample")]

    def __str__(self) -> str:
        return f"predicted label {self.pk}"


class TextPrediction(models.Model):
    """What a model said to one item of a set, with its scores under `predictions.scoring` (all null without a reference).

    Character error rate and overlaps lie in 0..1, chrF in 0..100, lengths are characters. Written by `predictions.ingest` alone,
    which keeps the totals of the run true.
    """

    run = models.ForeignKey(PredictionRun, on_delete=models.CASCADE, related_name="texts", db_index=False)
    item = models.ForeignKey(PredictionSetItem, on_delete=models.CASCADE, related_name="+")
    sample_index = models.PositiveIntegerField()
    rendered_prompt = models.TextField(
        null=True, help_text="What the model read, where a template made another text of the prompt."
    )
    prediction = models.TextField()
    references = models.JSONField(null=True, help_text="A list of texts, where they are others than the item's.")
    exact_match = models.FloatField(null=True)
    exact_match_norm = models.FloatField(null=True)
    char_error_rate = models.FloatField(null=True)
    char_edits = models.PositiveIntegerField(null=True)
    reference_length = models.PositiveIntegerField(null=True)
    length_ratio = models.FloatField(null=True)
    word_overlap = models.FloatField(null=True)
    token_f1 = models.FloatField(null=True)
    chrf = models.FloatField(null=True)
    custom_scores = models.JSONField(null=True, help_text="Scores that the trainer sent, by name.")
    passed = models.BooleanField(null=True, help_text="Whether all validators passed; null where there are none.")
    validations = models.JSONField(null=True)
    token_counts = models.JSONField(null=True)
    latency_ms = models.FloatField(null=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    metadata = models.JSONField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["run", "item"], name="one_text_per_run_and_item")]
        indexes = [models.Index(fields=["run", "sample_index"], name="text_by_run_and_index")]

    def __str__(self) -> str:
        return f"answer {self.pk}"


class ImageOutcome(models.Model):
    """What a run predicted in an image of a curated set, held against that item's validators. Written by `predictions.image_checks`."""

    run = models.ForeignKey(PredictionRun, on_delete=models.CASCADE, related_name="image_outcomes", db_index=False)
    item = models.ForeignKey(PredictionSetItem, on_delete=models.CASCADE, related_name="+")
    passed = models.BooleanField(null=True, help_text="Whether all validators passed; null where none could be run.")
    validations = models.JSONField(default=list)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["run", "item"], name="one_outcome_per_run_and_item")]

    def __str__(self) -> str:
        return f"outcome {self.pk}"
