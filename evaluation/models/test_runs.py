"""A prediction run held against ground truth: the figures, the outcome of every image, the matches."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from accounts.models import Project, User
from datasets import task_types
from datasets.models import Dataset, Job, JobQuerySet, Sample, Split
from inference.models import InferenceJob
from predictions.models import Checkpoint, PredictionRun, PredictionSetVersion, TrainingJob


class TestRunQuerySet(JobQuerySet):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)


class TestRun(Job):
    """A prediction run against a dataset's split, or a curated set of its images, under a protocol that is kept with the result.

    Where it is to be made from a checkpoint, `inference` makes the run first, and this waits. A figure that is not defined is
    null in `metrics`, with its reason in `undefined`.
    """

    __test__ = False  # no test of pytest's

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200, blank=True)
    task_type = models.CharField(max_length=20, choices=task_types.choices)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    split = models.ForeignKey(
        Split, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text="Empty: all splits."
    )
    set_version = models.ForeignKey(PredictionSetVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    prediction_run = models.ForeignKey(PredictionRun, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    inference = models.ForeignKey(InferenceJob, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    training_job = models.ForeignKey(TrainingJob, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    checkpoint = models.ForeignKey(Checkpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    protocol = models.JSONField(default=dict, blank=True, help_text="Every rule that the figures were made under.")
    protocol_name = models.CharField(max_length=60, default="coco")
    primary_metric_name = models.CharField(max_length=40, blank=True, editable=False)
    primary_metric_value = models.FloatField(null=True, editable=False)
    overall_loss = models.FloatField(null=True, editable=False)
    metrics = models.JSONField(default=dict, editable=False)
    intervals = models.JSONField(default=dict, editable=False, help_text="95 % intervals by the figure's name: [low, high].")
    replicates = models.JSONField(
        default=dict,
        editable=False,
        help_text="Figures with a part of the images left out in turn, for intervals of differences.",
    )
    undefined = models.JSONField(default=dict, editable=False, help_text="Why a figure is not defined, by its name.")
    warnings = models.JSONField(default=list, editable=False, help_text="What to know beside the figures, in words.")
    per_class_metrics = models.JSONField(default=list, editable=False, help_text="One object per class, in order.")
    confusion_matrix = models.JSONField(default=list, editable=False, help_text="Rows: truth; last row and column: background.")
    class_names = models.JSONField(default=list, editable=False)
    curves = models.JSONField(
        default=dict, editable=False, help_text="Curves as drawn: thinned out, the whole is in the matches."
    )
    slices = models.JSONField(default=list, editable=False)
    reconciliation = models.JSONField(
        default=dict, editable=False, help_text="The same predictions under other protocols; made when first asked for."
    )
    total_images = models.PositiveIntegerField(default=0, editable=False)
    correct_images = models.PositiveIntegerField(default=0, editable=False)
    inference_time_ms = models.FloatField(null=True, editable=False, help_text="The mean of an image, where the run knows it.")

    objects = TestRunQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="test_run_by_project"),
            models.Index(fields=["training_job", "-id"], name="test_run_by_training_job"),
            models.Index(fields=["prediction_run"], name="test_run_by_prediction_run"),
        ]

    def __str__(self) -> str:
        return self.name or f"test run {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("tests:run", args=[self.pk])


class TestImageResult(models.Model):
    """The outcome of one image. Counts are those at the test run's IoU and confidence (`metrics["confidence"]`).

    `true_categories` and `predicted_categories` are positions in the run's class names, each once; `errors` the values of
    `evaluation.metrics.matches.ErrorType` that occur. `iou` and `oks` are means over the matched objects. Of a classifier the
    single true and predicted class stand in the same columns.
    """

    __test__ = False

    test_run = models.ForeignKey(TestRun, on_delete=models.CASCADE, related_name="image_results", db_index=False)
    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="+")
    true_categories = ArrayField(models.IntegerField(), default=list)
    predicted_categories = ArrayField(models.IntegerField(), default=list)
    errors = ArrayField(models.SmallIntegerField(), default=list)
    is_correct = models.BooleanField()
    confidence = models.FloatField(null=True)
    top = models.JSONField(null=True, help_text="The classifier's first five: [class name, probability].")
    iou = models.FloatField(null=True)
    oks = models.FloatField(null=True)
    true_positives = models.PositiveIntegerField(default=0)
    false_positives = models.PositiveIntegerField(default=0)
    false_negatives = models.PositiveIntegerField(default=0)
    f1 = models.FloatField(null=True)
    loss = models.FloatField(null=True)
    inference_ms = models.FloatField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["test_run", "sample"], name="one_result_per_test_run_and_sample")]
        indexes = [models.Index(fields=["test_run", "is_correct", "id"], name="image_result_by_outcome")]

    def __str__(self) -> str:
        return f"result {self.pk}"


class TestMatches(models.Model):
    """All matches of a test run, as `evaluation.metrics.match_table.MatchTable` writes them: stored once, read for every view."""

    __test__ = False

    test_run = models.OneToOneField(TestRun, on_delete=models.CASCADE, primary_key=True, related_name="matches")
    table = models.BinaryField()

    def __str__(self) -> str:
        return f"matches of {self.test_run_id}"
