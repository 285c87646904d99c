"""What is true: datasets, their splits, categories, samples and annotations."""

import zlib
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from accounts.models import Project, User
from datasets import task_types


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)


class Dataset(models.Model):
    """A set of images with ground truth. The counters are recomputed by every import and deletion, in its transaction."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120)
    task_type = models.CharField(max_length=20, choices=task_types.choices)
    description = models.TextField(blank=True)
    sample_count = models.PositiveIntegerField(default=0, editable=False)
    annotation_count = models.PositiveIntegerField(default=0, editable=False)
    prediction_count = models.PositiveBigIntegerField(default=0, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="dataset_slug_per_project")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("predictions:images", args=[self.pk])


class Split(models.Model):
    """A named part of a dataset (train, val, ...), the unit of import and replacement. Ids may repeat across splits."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="splits")
    name = models.CharField(max_length=60)
    sample_count = models.PositiveIntegerField(default=0, editable=False)
    annotation_count = models.PositiveIntegerField(default=0, editable=False)
    imported_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="split_name_per_dataset")]

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    """A labelled kind. `external_id` is the file's own id, verbatim; `position` is its place in the file."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="categories")
    external_id = models.TextField()
    name = models.TextField()
    supercategory = models.TextField(blank=True)
    position = models.PositiveIntegerField(default=0)
    keypoint_names = ArrayField(models.TextField(), default=list, blank=True)
    skeleton = models.JSONField(default=list, blank=True, help_text="Pairs of keypoint numbers, counted from 1 as COCO does.")

    class Meta:
        ordering = ["position", "pk"]
        verbose_name_plural = "categories"
        constraints = [models.UniqueConstraint(fields=["dataset", "external_id"], name="category_external_id_per_dataset")]

    def __str__(self) -> str:
        return self.name


class Sample(models.Model):
    """One image. Width and height (pixels) are those of the frame its annotations live in; no image file: blank canvas."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="samples", db_index=False)
    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="samples", db_index=False)
    external_id = models.TextField()
    file_name = models.TextField()
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    image = models.TextField(blank=True, help_text="Name in the file storage; empty: no image file, a blank canvas.")
    image_format = models.CharField(max_length=8, blank=True)
    exif_orientation = models.PositiveSmallIntegerField(default=1)
    exif_applied = models.BooleanField(
        default=True, help_text="Whether the annotations' frame is the image after its EXIF orientation."
    )
    annotation_count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["split", "external_id"], name="sample_external_id_per_split")]
        indexes = [
            models.Index(fields=["dataset", "id"], name="sample_by_file_order"),
            models.Index(fields=["split", "id"], name="sample_by_split"),
            models.Index(fields=["dataset", "file_name", "id"], name="sample_by_file_name"),
            models.Index(fields=["dataset", "annotation_count", "id"], name="sample_by_annotations"),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def image_version(self) -> str:
        """Changes with the stored image, so that browsers may keep it under this address for good."""
        return f"{zlib.crc32(self.image.encode()):x}"


class AreaRule(models.TextChoices):
    """Which rule filled an annotation's area."""

    NONE = "", "no area"
    FILE = "file", "the file's own area"
    MASK = "mask", "counted from the mask"
    BOX = "box", "width times height"


class Annotation(models.Model):
    """A ground-truth label: a class alone, or with a box (COCO xywh, pixels), a mask and keypoints."""

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="annotations")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="annotations")
    external_id = models.TextField(blank=True)
    x = models.FloatField(null=True)
    y = models.FloatField(null=True)
    width = models.FloatField(null=True)
    height = models.FloatField(null=True)
    area = models.FloatField(null=True)
    area_rule = models.CharField(max_length=4, choices=AreaRule, blank=True)
    is_crowd = models.BooleanField(default=False)
    segmentation = models.JSONField(null=True, help_text="COCO polygons, or an RLE with text counts.")
    keypoints = ArrayField(models.FloatField(), null=True, help_text="x, y, visibility; pixels.")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"annotation {self.pk}"
