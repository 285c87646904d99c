"""Long work is a row: the row is the truth, the broker only a bell."""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

STALE_AFTER = timedelta(seconds=60)
MAX_ATTEMPTS = 3


class JobStatus(models.TextChoices):
    DRAFT = "draft", "Waiting for you"
    PENDING = "pending", "Pending"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class JobQuerySet(models.QuerySet[Any]):
    def active(self) -> Self:
        return self.filter(status__in=[JobStatus.PENDING, JobStatus.RUNNING])

    def forgotten(self) -> Self:
        """Jobs whose bell was lost: pending for a while, or running with a heart that stopped."""
        long_ago = timezone.now() - STALE_AFTER
        return self.filter(
            Q(status=JobStatus.PENDING, queued_at__lt=long_ago) | Q(status=JobStatus.RUNNING, heartbeat_at__lt=long_ago)
        )


class Job(models.Model):
    """What every long-running piece of work has: status, progress, counts, a reason for failure and timestamps.

    A job of status `draft` waits for its user's decision (the import doctor has reported).
    """

    status = models.CharField(max_length=10, choices=JobStatus, default=JobStatus.PENDING, editable=False)
    progress_done = models.BigIntegerField(default=0, editable=False)
    progress_total = models.BigIntegerField(default=0, editable=False)
    stage = models.CharField(max_length=120, blank=True, editable=False, help_text="What it is doing, in words.")
    error = models.TextField(blank=True, editable=False, help_text="Why it failed, where, and how to mend it.")
    report = models.JSONField(default=dict, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    # How often a worker may be lost with it before it fails.
    most_attempts = MAX_ATTEMPTS

    objects = JobQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["-pk"]

    @property
    def is_active(self) -> bool:
        return self.status in (JobStatus.PENDING, JobStatus.RUNNING)

    @property
    def percent(self) -> int | None:
        """0 to 100, or None while the total is unknown."""
        return min(100, 100 * self.progress_done // self.progress_total) if self.progress_total else None

    @property
    def seconds_left(self) -> float | None:
        """The time left at the pace so far, or None where nothing can be said."""
        if not (self.status == JobStatus.RUNNING and self.started_at and self.progress_done and self.progress_total):
            return None
        spent = (timezone.now() - self.started_at).total_seconds()
        return max(0.0, spent * (self.progress_total - self.progress_done) / self.progress_done)

    def claim(self) -> bool:
        """Take a pending job. False where another worker has it, it is over, or it failed too often to be tried again."""
        now = timezone.now()
        taken = (
            type(self)
            ._default_manager.filter(pk=self.pk, status=JobStatus.PENDING)
            .update(status=JobStatus.RUNNING, started_at=now, heartbeat_at=now, attempts=F("attempts") + 1, error="")
        )
        if taken:
            self.refresh_from_db()
        return bool(taken)

    def finish(self, status: JobStatus, **fields: Any) -> bool:
        """End this attempt, with further fields. False where it was cancelled, or taken over by another attempt."""
        mine = type(self)._default_manager.filter(pk=self.pk, status=JobStatus.RUNNING, attempts=self.attempts)
        ended = mine.update(status=status, finished_at=timezone.now(), stage="", **fields)
        self.refresh_from_db()
        return bool(ended)

    def requeue(self) -> bool:
        """Back to pending, for a retry by hand or after a lost worker."""
        ended = [JobStatus.DRAFT, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.RUNNING]
        changed = (
            type(self)
            ._default_manager.filter(pk=self.pk, status__in=ended)
            .update(status=JobStatus.PENDING, queued_at=timezone.now(), finished_at=None, error="", progress_done=0)
        )
        self.refresh_from_db()
        return bool(changed)

    def cancel(self) -> bool:
        """Cancel what has not ended. Running work notices at its next heartbeat and undoes what it did."""
        changed = (
            type(self)
            ._default_manager.filter(pk=self.pk, status__in=[JobStatus.DRAFT, JobStatus.PENDING, JobStatus.RUNNING])
            .update(status=JobStatus.CANCELLED, finished_at=timezone.now())
        )
        self.refresh_from_db()
        return bool(changed)
