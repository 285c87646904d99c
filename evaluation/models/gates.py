"""Gates: what a run must reach before it may go on, and what each check of one has decided."""

import math
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.urls import reverse

from accounts.models import Project, User
from evaluation.scores import CUSTOM, METRICS, Metric, metric_of
from predictions.models import PredictionRun, PredictionSet, TrainingJob


class Against(models.TextChoices):
    NOTHING = "nothing", "No baseline: limits alone"
    RUN = "run", "A fixed run"
    PASSED = "passed", "The job's last run that passed"


class Outcome(models.TextChoices):
    PASS = "pass", "Passed"
    FAIL = "fail", "Failed"
    UNDECIDED = "undecided", "Undecided"


class GateQuerySet(models.QuerySet["Gate"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)


class Gate(models.Model):
    """Limits for runs that answer a set, or for those of a job. Named in addresses and scripts."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(
        max_length=80, validators=[RegexValidator(r"^[\w.-]+\Z", "Use letters, digits, and the signs . _ - without blanks.")]
    )
    prediction_set = models.ForeignKey(PredictionSet, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    job = models.ForeignKey(TrainingJob, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    against = models.CharField(max_length=10, choices=Against, default=Against.NOTHING)
    baseline = models.ForeignKey(PredictionRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    least_items = models.PositiveIntegerField(
        default=20, validators=[MinValueValidator(2)], help_text="Over fewer scored items nothing is decided."
    )
    allows_differences = models.BooleanField(
        default=False, help_text="Decide by a drop also where run and baseline were not made alike."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = GateQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="gate_name_per_project",
                violation_error_message="The project has a gate of that name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(job__isnull=False, prediction_set__isnull=True)
                | models.Q(job__isnull=True, prediction_set__isnull=False),
                name="gate_is_of_one_thing",
                violation_error_message="Choose a prediction set or a training job, one of both.",
            ),
            models.CheckConstraint(condition=models.Q(against__in=Against.values), name="gate_against_known"),
            models.CheckConstraint(condition=models.Q(least_items__gte=2), name="gate_needs_two_items"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("gates:gate", args=[self.pk])

    def clean(self) -> None:
        """All there is to check of a gate, for pages and API alike."""
        if self.against != Against.RUN:
            self.baseline = None
        if bool(self.job_id) == bool(self.prediction_set_id):
            raise ValidationError({"prediction_set": "Choose a prediction set or a training job, one of both."})
        for name, chosen in (("job", self.job), ("prediction_set", self.prediction_set), ("baseline", self.baseline)):
            if chosen is not None and chosen.project_id != self.project_id:
                raise ValidationError({name: "It belongs to another project."})
        if self.against == Against.RUN and self.baseline is None:
            raise ValidationError({"baseline": "Choose the run that is the baseline."})

    @property
    def is_for(self) -> str:
        return f"runs of {self.job.name}" if self.job else f"runs that answer {self.prediction_set}"

    @property
    def baseline_in_words(self) -> str:
        if self.against == Against.RUN:
            return f"the baseline {self.baseline or '(deleted)'}"
        return "the job's last run that passed" if self.against == Against.PASSED else "the baseline that the check names"


class GateLimit(models.Model):
    """One score of a gate. `limit` is the least mean, or the highest where lower is better; `most_drop` by how much it may be
    worse than the baseline's."""

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="limits")
    metric = models.CharField(max_length=130)
    lower_is_better = models.BooleanField(
        default=False, help_text="Of a score of the trainer's own; for all others the direction is known."
    )
    limit = models.FloatField(null=True, blank=True)
    most_drop = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["gate", "metric"], name="gate_limit_once_a_metric"),
            models.CheckConstraint(
                condition=models.Q(limit__isnull=False) | models.Q(most_drop__isnull=False), name="gate_limit_limits_something"
            ),
            models.CheckConstraint(condition=models.Q(most_drop=None) | models.Q(most_drop__gte=0), name="gate_drop_from_zero"),
        ]

    def __str__(self) -> str:
        return self.in_words

    def clean(self) -> None:
        if self.metric not in METRICS and not (self.metric.startswith(CUSTOM) and self.metric != CUSTOM):
            raise ValidationError({"metric": f"{self.metric!r} is no score. One of the trainer's own is written custom:NAME."})
        if not all(value is None or math.isfinite(value) for value in (self.limit, self.most_drop)):
            raise ValidationError({"limit": "Give numbers with an end."})
        if self.limit is None and self.most_drop is None:
            raise ValidationError({"limit": "Give a limit, a largest drop, or both."})

    @property
    def score(self) -> Metric:
        return metric_of(self.metric)

    @property
    def is_lower_better(self) -> bool:
        return self.lower_is_better if self.metric.startswith(CUSTOM) else self.score.lower_is_better

    @property
    def in_words(self) -> str:
        parts = []
        if self.limit is not None:
            parts.append(f"at {'most' if self.is_lower_better else 'least'} {self.limit:g}")
        if self.most_drop is not None:
            parts.append(f"no more than {self.most_drop:g} worse than {self.gate.baseline_in_words}")
        return f"{self.score.label} {' and '.join(parts)}"


class GateCheck(models.Model):
    """One decision, kept as it was made. The names of the runs stay when the runs are deleted."""

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="checks")
    run = models.ForeignKey(PredictionRun, null=True, on_delete=models.SET_NULL, related_name="+")
    run_name = models.CharField(max_length=300)
    baseline = models.ForeignKey(PredictionRun, null=True, on_delete=models.SET_NULL, related_name="+")
    baseline_name = models.CharField(max_length=300, blank=True, default="")
    outcome = models.CharField(max_length=10, choices=Outcome)
    reasons = models.JSONField(help_text="In words, with figures.")
    figures = models.JSONField(help_text="One for each limit that was looked at, see evaluation.deciding.")
    differences = models.JSONField(default=list, help_text="What makes run and baseline not comparable.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.CheckConstraint(condition=models.Q(outcome__in=Outcome.values), name="gate_outcome_known")]
        indexes = [models.Index(fields=["gate", "-id"], name="gate_checks_newest")]

    def __str__(self) -> str:
        return f"{self.gate_id} {self.outcome}"
