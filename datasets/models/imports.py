"""The import row of ground truth: page, API and commands all show this one."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from accounts.models import User
from datasets.models.jobs import Job, JobQuerySet
from datasets.models.truth import Dataset
from datasets.models.uploads import Upload


class ImportQuerySet(JobQuerySet):
    def visible_to(self, user: User) -> Self:
        return self.filter(dataset__project__memberships__user=user)


class ImportJob(Job):
    """What imports of truth and of predictions share: a source (an upload or a path on the server) and chosen fixes."""

    upload = models.ForeignKey(Upload, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    source_path = models.TextField(blank=True, help_text="A file or folder on the server, where nothing was uploaded.")
    source_name = models.TextField(help_text="What people call the source: the uploaded file's name, or the path.")
    split_name = models.CharField(max_length=60, blank=True)
    fixes = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    dry_run = models.BooleanField(default=False, help_text="Only look: the doctor's report, nothing stored.")
    read_count = models.BigIntegerField(default=0, editable=False)
    stored_count = models.BigIntegerField(default=0, editable=False)
    rejected_count = models.BigIntegerField(default=0, editable=False)
    rejects_file = models.TextField(blank=True, editable=False, help_text="Storage name of the rejected rows, JSON Lines.")

    objects = ImportQuerySet.as_manager()

    class Meta(Job.Meta):
        abstract = True


class DatasetImport(ImportJob):
    """One import of ground truth into one split."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    importer = models.CharField(max_length=40, help_text="Key of the importer; empty: found out from the source.", blank=True)
    images_upload = models.ForeignKey(
        Upload, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="A ZIP of the image files."
    )
    images_path = models.TextField(blank=True, help_text="The folder of the image files, where it is not the source itself.")
    replace = models.BooleanField(default=False, help_text="Replace the split where it holds samples already.")

    def __str__(self) -> str:
        return f"import {self.pk} of {self.source_name}"

    def get_absolute_url(self) -> str:
        return reverse("datasets:import_detail", args=[self.pk])
