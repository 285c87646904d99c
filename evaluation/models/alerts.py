"""Rules that watch a job or a set, the alerts they raise, and the channels that tell of them."""

import math
import secrets
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, validate_email
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import Project, User
from evaluation import webhooks
from evaluation.measures import PASS_RATE, Measure, is_measure, measure
from predictions.models import PredictionRun, PredictionSet, TrainingJob

MOST_ADDRESSES = 20


class ChannelKind(models.TextChoices):
    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"


class RuleKind(models.TextChoices):
    BASELINE = "baseline", "A score is worse than a baseline's"
    PREVIOUS = "previous", "A score is worse than at the firing before"
    PASS_RATE = "pass_rate", "The pass rate is under a threshold"
    SILENCE = "silence", "A running job gives no sign of life"


class AlertStatus(models.TextChoices):
    OPEN = "open", "Open"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"


class AlertChannelQuerySet(models.QuerySet["AlertChannel"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)


class AlertChannel(models.Model):
    """Where alerts are sent. A webhook's secret is worked out from `salt` and the server's secret key, and stored nowhere."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=ChannelKind, default=ChannelKind.WEBHOOK)
    target = models.CharField(
        max_length=2000, help_text="The webhook's address, or up to 20 e-mail addresses with commas between them."
    )
    salt = models.CharField(max_length=64, editable=False, default=secrets.token_urlsafe)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AlertChannelQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="channel_name_per_project",
                violation_error_message="The project has a channel of that name already.",
            ),
            models.CheckConstraint(condition=models.Q(kind__in=ChannelKind.values), name="channel_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.kind == ChannelKind.WEBHOOK:
            try:
                webhooks.check_url(self.target, allow_private=settings.WEBHOOK_PRIVATE)
            except webhooks.Refused as refusal:
                raise ValidationError({"target": str(refusal)}) from None
        elif self.kind == ChannelKind.EMAIL:
            self._clean_addresses()

    def _clean_addresses(self) -> None:
        if not self.addresses or len(self.addresses) > MOST_ADDRESSES:
            raise ValidationError({"target": f"Give 1 to {MOST_ADDRESSES} e-mail addresses with commas between them."})
        for address in self.addresses:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError({"target": f"{address!r} is not an e-mail address."}) from None

    @property
    def addresses(self) -> list[str]:
        return [address.strip() for address in self.target.split(",") if address.strip()]

    @property
    def secret(self) -> str:
        """What a webhook's bodies are signed with."""
        return "whsec_" + salted_hmac("touchstone.webhook", self.salt, algorithm="sha256").hexdigest()


class AlertRuleQuerySet(models.QuerySet["AlertRule"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)

    def with_open_count(self) -> Self:
        unresolved = Alert.objects.unresolved().filter(rule=models.OuterRef("pk")).order_by().values("rule")
        return self.annotate(open_count=models.Subquery(unresolved.values_list(models.Count("pk"))))


class AlertRule(models.Model):
    """Watches a training job, or whatever job answers a prediction set, from `watches_from` on.

    `threshold` is by how much a score may be worse, the least pass rate, or the minutes of silence. A baseline that has
    been deleted leaves the rule without anything to compare with.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=RuleKind, default=RuleKind.PREVIOUS)
    job = models.ForeignKey(TrainingJob, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    prediction_set = models.ForeignKey(PredictionSet, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    metric = models.CharField(max_length=130, blank=True, default="")
    lower_is_better = models.BooleanField(
        default=False, help_text="Of a score of the trainer's own; for all others the direction is known."
    )
    baseline = models.ForeignKey(PredictionRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    threshold = models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(1_000_000)])
    debounce_minutes = models.PositiveIntegerField(
        default=30,
        validators=[MaxValueValidator(10_080)],
        help_text="After a message, further alerts of this rule wait so long and come as one.",
    )
    is_on = models.BooleanField(default=True)
    channels = models.ManyToManyField(AlertChannel, blank=True, related_name="rules")
    watches_from = models.DateTimeField(default=timezone.now, editable=False)
    looked_at = models.DateTimeField(default=timezone.now, editable=False)
    notified_at = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AlertRuleQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="alert_rule_name_per_project",
                violation_error_message="The project has a rule of that name already.",
            ),
            models.CheckConstraint(condition=models.Q(kind__in=RuleKind.values), name="alert_rule_kind_known"),
            models.CheckConstraint(
                condition=models.Q(job__isnull=False, prediction_set__isnull=True)
                | models.Q(job__isnull=True, prediction_set__isnull=False),
                name="alert_rule_watches_one_thing",
                violation_error_message="Choose a training job or a prediction set, one of both.",
            ),
            models.CheckConstraint(condition=models.Q(threshold__gte=0), name="alert_rule_threshold_from_zero"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("alerts:rule", args=[self.pk])

    def clean(self) -> None:
        """All there is to check of a rule, for pages and API alike. What its kind has no use for is emptied."""
        if self.kind == RuleKind.PASS_RATE:
            self.metric = PASS_RATE
        elif self.kind == RuleKind.SILENCE:
            self.metric = ""
        if self.kind != RuleKind.BASELINE:
            self.baseline = None
        wrong = {**self._wrong_target(), **self._wrong_measure(), **self._wrong_baseline()}
        if wrong:
            raise ValidationError(wrong)

    def _wrong_target(self) -> dict[str, str]:
        if bool(self.job_id) == bool(self.prediction_set_id):
            return {"job": "Choose a training job or a prediction set, one of both."}
        for name, chosen in (("job", self.job), ("prediction_set", self.prediction_set)):
            if chosen is not None and chosen.project_id != self.project_id:
                return {name: "It belongs to another project."}
        return {}

    def _wrong_measure(self) -> dict[str, str]:
        wrong = {}
        if self.threshold is not None and not math.isfinite(self.threshold):
            wrong["threshold"] = "Give a number with an end."
        if self.kind in (RuleKind.BASELINE, RuleKind.PREVIOUS) and not is_measure(self.metric):
            wrong["metric"] = f"{self.metric!r} is no score. A score of the trainer's own is written custom:NAME."
        if self.kind == RuleKind.PASS_RATE and (self.threshold is not None and not 0 < self.threshold <= 1):
            wrong["threshold"] = "A pass rate lies between 0 and 1, such as 0.9."
        if self.kind == RuleKind.SILENCE and (self.threshold is not None and self.threshold < 1):
            wrong["threshold"] = "Give at least 1 minute."
        return wrong

    def _wrong_baseline(self) -> dict[str, str]:
        if self.kind != RuleKind.BASELINE:
            return {}
        if self.baseline is None:
            return {"baseline": "Choose the run that is the baseline."}
        if self.baseline.project_id != self.project_id or self.baseline.set_version is None:
            return {"baseline": "It is no run of a prediction set of this project."}
        if self.prediction_set_id and self.baseline.set_version.prediction_set_id != self.prediction_set_id:
            return {"baseline": f"It answers {self.baseline.set_version}, not {self.prediction_set}."}
        return {}

    @property
    def measure(self) -> Measure:
        return measure(self.metric, lower_is_better=self.lower_is_better)

    @property
    def watched(self) -> str:
        """What it watches, in words."""
        return f"{self.job.name}" if self.job else f"every job that answers {self.prediction_set}"

    @property
    def in_words(self) -> str:
        """When it raises an alert."""
        if self.kind == RuleKind.SILENCE:
            return f"no sign of life for {self.threshold:g} minutes while the job should be running"
        if self.kind == RuleKind.PASS_RATE:
            return f"pass rate under {self.threshold:g}"
        against = (
            "at the firing before" if self.kind == RuleKind.PREVIOUS else f"in the baseline {self.baseline or '(deleted)'}"
        )
        return f"{self.measure.label} worse than {against} by more than {self.threshold:g}"

    def may_notify(self, now: datetime) -> bool:
        return self.notified_at is None or now - self.notified_at >= timedelta(minutes=self.debounce_minutes)


class AlertQuerySet(models.QuerySet["Alert"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(rule__project__memberships__user=user)

    def unresolved(self) -> Self:
        return self.exclude(status=AlertStatus.RESOLVED)

    def for_page(self) -> Self:
        return self.select_related("rule__project", "job", "run__set_version__prediction_set", "acknowledged_by", "resolved_by")


class Alert(models.Model):
    """A rule was broken: by a run, or by the silence of a job. Once for each rule and run, or rule, job and last sign of life.

    `since` is the state that was judged: when the run's rows last changed, or the job's last sign of life. One that resolved
    by itself has no `resolved_by`; its `resolution` says why.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(PredictionRun, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()
    value = models.FloatField(null=True)
    reference = models.FloatField(null=True, help_text="What the value was held against.")
    message = models.CharField(max_length=1000)
    status = models.CharField(max_length=12, choices=AlertStatus, default=AlertStatus.OPEN)
    opened_at = models.DateTimeField(default=timezone.now)
    notified_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    resolution = models.CharField(max_length=1000, blank=True, default="")
    resolution_told = models.BooleanField(default=False, help_text="That it resolved by itself was sent to the channels.")

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["rule", "run"], name="one_alert_per_rule_and_run"),
            models.UniqueConstraint(
                fields=["rule", "job", "since"], condition=models.Q(run=None), name="one_alert_per_rule_and_silence"
            ),
            models.CheckConstraint(condition=models.Q(status__in=AlertStatus.values), name="alert_status_known"),
            models.CheckConstraint(
                condition=models.Q(status=AlertStatus.RESOLVED, resolved_at__isnull=False)
                | (~models.Q(status=AlertStatus.RESOLVED) & models.Q(resolved_at=None)),
                name="alert_resolved_has_its_time",
            ),
        ]
        indexes = [
            models.Index(fields=["rule", "-opened_at"], name="alert_by_rule"),
            models.Index(fields=["job"], condition=~models.Q(status="resolved"), name="alert_unresolved_by_job"),
        ]

    def __str__(self) -> str:
        return self.message

    def get_absolute_url(self) -> str:
        """Where to look into it: at the run's answers, or at the job."""
        return self.run.get_absolute_url() if self.run else self.job.get_absolute_url()

    def resolve(self, resolution: str, user: User | None = None) -> None:
        """On the instance; the caller saves."""
        self.status, self.resolution = AlertStatus.RESOLVED, resolution[:1000]
        self.resolved_at, self.resolved_by = timezone.now(), user
