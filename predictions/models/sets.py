"""The questions put to models."""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Project, User


class SetKind(models.TextChoices):
    SAMPLED = "sampled", "Sampled"
    CURATED = "curated", "Curated"


class PredictionSetQuerySet(models.QuerySet["PredictionSet"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)


class PredictionSet(models.Model):
    """A named set of questions. `sampled`: drawn from training data. `curated`: kept by people."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=SetKind, default=SetKind.SAMPLED)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PredictionSetQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="set_name_per_project")]

    def __str__(self) -> str:
        return self.name


class PredictionSetVersion(models.Model):
    """The items at one time. With a content hash it never changes; without one it is open and grows as answers come in."""

    prediction_set = models.ForeignKey(PredictionSet, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    item_count = models.PositiveIntegerField(default=0, editable=False)
    source = models.CharField(max_length=500, blank=True, help_text="What it was drawn from.")
    seed = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["prediction_set", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["prediction_set", "number"], name="version_number_per_set"),
            models.UniqueConstraint(
                fields=["prediction_set", "content_hash"],
                condition=~models.Q(content_hash=""),
                name="version_content_per_set",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prediction_set.name}@{self.number}"

    @property
    def is_open(self) -> bool:
        return not self.content_hash


class PredictionSetItem(models.Model):
    """One question: a prompt or messages, and the references that an answer is held against. `key` names its content."""

    version = models.ForeignKey(PredictionSetVersion, on_delete=models.CASCADE, related_name="items", db_index=False)
    key = models.CharField(max_length=120)
    sample_index = models.PositiveIntegerField(help_text="Its place when it was drawn; for display only.")
    prompt = models.TextField(null=True, blank=True)
    messages = models.JSONField(null=True, blank=True)
    references = ArrayField(models.TextField(), default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["version", "sample_index", "pk"]
        constraints = [models.UniqueConstraint(fields=["version", "key"], name="item_key_per_version")]
        indexes = [models.Index(fields=["key"], name="item_by_key")]

    def __str__(self) -> str:
        return self.key

    @property
    def asked(self) -> str:
        """The question as people read it: the prompt, or the messages under the names of their roles."""
        if self.prompt is not None:
            return self.prompt
        return "\n\n".join(f"{message.get('role', '')}: {message.get('content', '')}" for message in self.messages or [])
