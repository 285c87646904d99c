"""Where a model state comes from: training jobs, their tokens and checkpoints."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.urls import reverse
from django.utils import timezone

from accounts.models import Project, User
from datasets.task_types import TASK_TYPES
from predictions import validators
from predictions.answers import storable_json
from predictions.panel import Panel, PanelError, parse_panel

SILENT_AFTER = timedelta(minutes=10)
MISSED_KEPT = 50
JOB_ID_LENGTH = 120


def task_type_choices() -> list[tuple[str, str]]:
    return [("text", "Text"), *TASK_TYPES.items()]


def check_job_id(value: str) -> None:
    """It stands in addresses: anything printable but a slash, and no blanks at its ends."""
    if not value.isprintable() or "/" in value or "\\" in value or value != value.strip() or value in (".", ".."):
        raise ValidationError("Use letters, digits and signs without slashes, and no blanks at the ends.", "job_id")


def check_config(value: Any) -> None:
    """A config is an object; its `predictions` is a panel."""
    if not isinstance(value, dict):
        raise ValidationError("Must be an object.", "config")
    if storable_json(value) != value:
        raise ValidationError(
            "Holds a character or a number that cannot be stored, such as NUL or an endless number.", "config"
        )
    panel = value.get("predictions", {})
    if not isinstance(panel, dict):
        raise ValidationError("'predictions' must be an object.", "config")
    try:
        wrong = [f"predictions.validators: {reason}" for reason in validators.check(parse_panel(panel).validators)]
    except PanelError as error:
        wrong = [f"predictions.{name}: {reason}" for name, reason in error.errors.items()]
    if wrong:
        raise ValidationError(wrong, "config")


class TrainingStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class TrainingJobQuerySet(models.QuerySet["TrainingJob"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)


class TrainingJob(models.Model):
    """A training as its process tells of it. `job_id` names it in addresses and in the training script."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    job_id = models.CharField(max_length=JOB_ID_LENGTH, validators=[check_job_id])
    name = models.CharField(max_length=200)
    task_type = models.CharField(max_length=20, choices=task_type_choices, default="text")
    framework = models.CharField(max_length=60, blank=True)
    config = models.JSONField(default=dict, blank=True, validators=[check_config])
    status = models.CharField(max_length=10, choices=TrainingStatus, default=TrainingStatus.PENDING)
    message = models.TextField(blank=True, help_text="What its process last had to say, such as why it failed.")
    attempt = models.PositiveIntegerField(default=0, help_text="How often it was started.")
    epoch = models.FloatField(null=True, blank=True)
    step = models.PositiveBigIntegerField(null=True, blank=True)
    total_steps = models.PositiveBigIntegerField(null=True, blank=True)
    firing_count = models.PositiveIntegerField(default=0)
    missed_count = models.PositiveIntegerField(default=0)
    missed = models.JSONField(default=list, blank=True, help_text="The last missed firings: epoch, step, reason.")
    overhead = models.JSONField(
        default=dict, blank=True, help_text="Of sampling: seconds of a firing, share of the training time."
    )
    registered_sets = models.JSONField(default=dict, blank=True, help_text="The version, by the name of the set, that it asks.")
    environment = models.JSONField(default=dict, blank=True, help_text="Versions of the libraries, host, devices.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingJobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["project", "job_id"], name="job_id_per_project")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("training:job", args=[self.pk])

    @property
    def panel(self) -> Panel:
        """What it samples; a job without a panel of its own samples as the client's arguments say."""
        return parse_panel(self.config.get("predictions", {}))

    @property
    def has_ended(self) -> bool:
        return self.status in (TrainingStatus.COMPLETED, TrainingStatus.FAILED, TrainingStatus.CANCELLED)

    @property
    def overhead_percent(self) -> str:
        """Of sampling, of the training time: "1.4 %"; empty where it is not told."""
        share = self.overhead.get("share")
        return "" if share is None else f"{share:.1%}".replace("%", " %")

    @property
    def is_silent(self) -> bool:
        """It should be running, and nothing has come from it for a while."""
        if self.status != TrainingStatus.RUNNING or self.last_seen_at is None:
            return False
        return timezone.now() - self.last_seen_at > SILENT_AFTER


class JobTokenQuerySet(models.QuerySet["JobToken"]):
    def usable(self) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())


class JobToken(models.Model):
    """A key for the training process of one job: it may write there, and nothing else. Only its digest is stored."""

    PREFIX = "tsj_"

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The first characters, to recognise it by.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = JobTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()

    @classmethod
    def issue(cls, job: TrainingJob, user: User, name: str, days: int) -> tuple["JobToken", str]:
        """A new token and its key, which cannot be read again later."""
        key = cls.PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            job=job,
            created_by=user,
            name=name,
            digest=cls.digest_of(key),
            hint=key[:8],
            expires_at=timezone.now() + timedelta(days=days),
        )
        return token, key

    @staticmethod
    def digest_of(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()
