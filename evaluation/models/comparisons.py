"""Comparisons too large to be made while somebody waits."""

from typing import Self

from django.db import models

from accounts.models import User
from datasets.models import Job, JobQuerySet
from predictions.models import PredictionRun, PredictionSetVersion


class ComparisonQuerySet(JobQuerySet):
    def visible_to(self, user: User) -> Self:
        """To those who may see both runs."""
        mine = self.filter(baseline__project__memberships__user=user)
        return mine.filter(candidate__project__memberships__user=user)


class Comparison(Job):
    """Two large runs compared: the work, and its result for whoever looks next.

    `state` says what the runs held and how they were read; when that changes, another row is made. `pairing` is what
    `evaluation.pairing` keeps, `report` the judgements by tag.
    """

    baseline = models.ForeignKey(PredictionRun, on_delete=models.CASCADE, related_name="+")
    candidate = models.ForeignKey(PredictionRun, on_delete=models.CASCADE, related_name="+")
    set_version = models.ForeignKey(PredictionSetVersion, null=True, on_delete=models.CASCADE, related_name="+")
    confidence = models.FloatField()
    state = models.CharField(max_length=200)
    pairing = models.BinaryField(null=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta(Job.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["baseline", "candidate", "state"], name="one_comparison_per_state")]

    def __str__(self) -> str:
        return f"comparison {self.pk}"
