"""The questions put to models."""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from accounts.models import Project, User
from datasets.models import Sample


class SetKind(models.TextChoices):
    SAMPLED = "sampled", "Sampled"
    CURATED = "curated", "Curated"


class PredictionSetQuerySet(models.QuerySet["PredictionSet"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)

    def with_versions(self) -> Self:
        """With latest (number), latest_items, latest_at and has_draft, in one query."""
        versions = PredictionSetVersion.objects.filter(prediction_set=models.OuterRef("pk"))
        newest = versions.published().order_by("-number")
        return self.annotate(
            latest=models.Subquery(newest.values("number")[:1]),
            latest_items=models.Subquery(newest.values("item_count")[:1]),
            latest_at=models.Subquery(newest.values("published_at")[:1]),
            version_count=models.Count("versions", filter=~models.Q(versions__content_hash="", kind=SetKind.CURATED)),
            has_draft=models.Exists(versions.filter(content_hash="", prediction_set__kind=SetKind.CURATED)),
        )


class PredictionSet(models.Model):
    """A named set of questions. `sampled`: drawn from training data. `curated`: a golden set, kept by people."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=SetKind, default=SetKind.SAMPLED)
    description = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PredictionSetQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="set_name_per_project")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("sets:set", args=[self.pk])

    @property
    def is_curated(self) -> bool:
        return self.kind == SetKind.CURATED


class PredictionSetVersionQuerySet(models.QuerySet["PredictionSetVersion"]):
    def published(self) -> Self:
        """What jobs may be asked: the frozen versions, and the open ones of sampled sets."""
        return self.exclude(content_hash="", prediction_set__kind=SetKind.CURATED)


class PredictionSetVersion(models.Model):
    """The items at one time. With a content hash it never changes, which the database holds it to.

    Without one it is open: of a sampled set it grows as answers come in, of a curated set it is the draft that people edit.
    """

    prediction_set = models.ForeignKey(PredictionSet, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    item_count = models.PositiveIntegerField(default=0, editable=False)
    validators = models.JSONField(default=list, blank=True, help_text="What every answer must satisfy, besides its item's own.")
    pass_threshold = models.FloatField(
        null=True, blank=True, help_text="The share of its validators' weight that an answer must satisfy; empty: all of it."
    )
    source = models.CharField(max_length=500, blank=True, help_text="What it was drawn from.")
    seed = models.BigIntegerField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True, help_text="What changed, in the words of who published it.")
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )

    objects = PredictionSetVersionQuerySet.as_manager()

    class Meta:
        ordering = ["prediction_set", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["prediction_set", "number"], name="version_number_per_set"),
            models.UniqueConstraint(
                fields=["prediction_set", "content_hash"],
                condition=~models.Q(content_hash=""),
                name="version_content_per_set",
            ),
            models.UniqueConstraint(
                fields=["prediction_set"], condition=models.Q(content_hash=""), name="one_open_version_per_set"
            ),
            models.CheckConstraint(
                condition=models.Q(pass_threshold=None) | models.Q(pass_threshold__gte=0, pass_threshold__lte=1),
                name="pass_threshold_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prediction_set.name}@{self.number}"

    @property
    def is_open(self) -> bool:
        return not self.content_hash


class PredictionSetItem(models.Model):
    """One question: a prompt, messages or an image, and what an answer is held against. `key` names its content.

    An image's truth is its annotations; where the image is deleted, `metadata` still names it. Items of a version that has
    a content hash cannot be changed: a trigger in the database refuses it.
    """

    version = models.ForeignKey(PredictionSetVersion, on_delete=models.CASCADE, related_name="items", db_index=False)
    key = models.CharField(max_length=120)
    sample_index = models.PositiveIntegerField(help_text="Its place when it was drawn; for display only.")
    prompt = models.TextField(null=True, blank=True)
    messages = models.JSONField(null=True, blank=True)
    sample = models.ForeignKey(Sample, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    references = ArrayField(models.TextField(), default=list, blank=True)
    validators = models.JSONField(default=list, blank=True)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    weight = models.FloatField(default=1.0, help_text="How much it counts in the set's pass rate.")
    notes = models.TextField(blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["version", "sample_index", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["version", "key"], name="item_key_per_version"),
            models.CheckConstraint(condition=models.Q(weight__gt=0), name="item_weight_above_zero"),
        ]
        indexes = [models.Index(fields=["key"], name="item_by_key")]

    def __str__(self) -> str:
        return self.key

    @property
    def asked(self) -> str:
        """The question as people read it: the prompt, or the messages under the names of their roles."""
        if self.prompt is not None:
            return self.prompt
        return "\n\n".join(f"{message.get('role', '')}: {message.get('content', '')}" for message in self.messages or [])
