"""The import row of ground truth: page, API and commands all show this one."""

from typing import Any, Self
from urllib.parse import urlencode

from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.urls import reverse

from accounts.models import User
from datasets.models.jobs import Job, JobQuerySet, JobStatus
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

    dataset: models.ForeignKey[Dataset, Dataset]  # each kind has its own

    objects = ImportQuerySet.as_manager()

    class Meta(Job.Meta):
        abstract = True

    @transaction.atomic
    def queue_with(self, **choices: Any) -> bool:
        """Queue it again, or leave it queued, with these choices. False where it has been completed."""
        row = type(self)._default_manager.filter(pk=self.pk)
        # Whoever wants to claim the row waits for this transaction, and then reads the new choices.
        if not row.filter(status=JobStatus.PENDING).update(**choices):
            if not self.requeue():
                return False
            row.update(**choices)
        self.refresh_from_db()
        return True


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

    def get_result_url(self) -> str:
        """Where to see what was imported."""
        return f"{self.dataset.get_absolute_url()}?{urlencode({'split': self.split_name})}"

    def existing(self) -> dict[str, int] | None:
        """What the split holds now and this import would replace."""
        split = self.dataset.splits.filter(name=self.split_name or "val", sample_count__gt=0).first()
        return {"samples": split.sample_count, "annotations": split.annotation_count} if split else None
