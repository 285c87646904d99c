"""Checks of golden sets against the training data of this project."""

from django.db import models

from datasets.models import Job
from predictions.models.sets import PredictionSetVersion


class LeakageCheck(Job):
    """Whether the questions of a golden set stand in the data from which a training has drawn its own."""

    version = models.ForeignKey(PredictionSetVersion, on_delete=models.CASCADE, related_name="leakage_checks")
    drawn = models.ForeignKey(PredictionSetVersion, on_delete=models.CASCADE, related_name="+")
    leaked = models.PositiveIntegerField(default=0, editable=False, help_text="Items of the version that stand there.")
    whole_file = models.BooleanField(
        default=False, editable=False, help_text="The file was looked through, not the drawn rows alone."
    )

    class Meta(Job.Meta):
        constraints = [models.UniqueConstraint(fields=["version", "drawn"], name="one_leakage_check_per_pair")]

    def __str__(self) -> str:
        return f"leakage check of {self.version_id} against {self.drawn_id}"

    @property
    def in_words(self) -> str:
        """What a completed check found, as a sentence. Reads version and drawn with their sets."""
        count = self.report["row_count"]
        rows = f"the {count:,} row{'' if count == 1 else 's'}"
        among = f"{rows} of {self.drawn.source}" if self.whole_file else f"{rows} drawn as {self.drawn}"
        items = self.report["item_count"] - self.report["image_items"]
        if not self.leaked:
            return f"None of the {items:,} questions of {self.version} stands in {among}."
        stand = "stands" if self.leaked == 1 else "stand"
        return f"{self.leaked:,} of the {items:,} questions of {self.version} {stand} in {among}."
