"""Messages on their way to a channel. The row is the truth: what was tried, what the other side answered, when it is tried again."""

import uuid

from django.db import models
from django.utils import timezone

from evaluation.models.alerts import AlertChannel, AlertRule


class DeliveryStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    SENT = "completed", "Sent"
    FAILED = "failed", "Failed"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self) -> "DeliveryQuerySet":
        return self.filter(status=DeliveryStatus.PENDING, next_attempt_at__lte=timezone.now())


class Delivery(models.Model):
    """One message to one channel. The body is made once, so that every attempt sends the same."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="deliveries")
    rule = models.ForeignKey(AlertRule, null=True, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=20)
    body = models.JSONField()
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    answer = models.TextField(
        blank=True, default="", help_text="What the other side last said, or why it could not be reached."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=DeliveryStatus.values), name="delivery_status_known")
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=models.Q(status="pending"), name="delivery_pending"),
            models.Index(fields=["rule", "-created_at"], name="delivery_by_rule"),
            models.Index(fields=["channel", "-created_at"], name="delivery_by_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.channel}"

    @property
    def is_test(self) -> bool:
        return self.event == "test"
