"""What a checkpoint said of each image of a job."""

from django.db import models

from datasets.models import Sample
from inference.models.jobs import InferenceJob


class ResultState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    FAILED = "failed", "Not readable"


class InferenceResult(models.Model):
    """One image of a job: where it is, and once it has been its turn, the answer or why there is none.

    Boxes are COCO xywh in pixels of the upright image; `objects_found` is a list of {"label", "label_id", "confidence", "bbox",
    "segmentation"?, "keypoints"?}; `top` a list of [class name, confidence], five at most. Times are ms. Of a dataset's images
    the objects stand in the prediction run alone.
    """

    job = models.ForeignKey(InferenceJob, on_delete=models.CASCADE, related_name="results", db_index=False)
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=500, help_text="The file's own name.")
    image = models.CharField(max_length=500, blank=True, help_text="Name in the file storage; empty for a dataset's images.")
    image_format = models.CharField(max_length=8, blank=True, help_text="By content.")
    sample = models.ForeignKey(Sample, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=ResultState, default=ResultState.WAITING)
    error = models.CharField(max_length=500, blank=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    label = models.CharField(max_length=300, blank=True)
    label_id = models.PositiveIntegerField(null=True)
    confidence = models.FloatField(null=True)
    top = models.JSONField(default=list)
    objects_found = models.JSONField(default=list)
    object_count = models.PositiveIntegerField(default=0)
    preprocess_ms = models.FloatField(null=True)
    inference_ms = models.FloatField(null=True)
    postprocess_ms = models.FloatField(null=True)

    class Meta:
        ordering = ["job", "position"]
        constraints = [models.UniqueConstraint(fields=["job", "position"], name="one_result_per_job_and_position")]
        indexes = [
            models.Index(fields=["job", "label", "position"], name="result_by_job_label"),
            models.Index(fields=["job", "-confidence", "position"], name="result_by_job_confidence"),
        ]

    def __str__(self) -> str:
        return self.name
