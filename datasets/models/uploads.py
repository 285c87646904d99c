"""Files on their way in: resumable uploads."""

import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.db import models

from accounts.models import Project, User


class UploadQuerySet(models.QuerySet["Upload"]):
    def visible_to(self, user: User) -> Self:
        """An upload is its owner's alone until an import makes something of it."""
        return self.filter(owner=user)


class Upload(models.Model):
    """A file that arrives in chunks. It is complete when `received` equals `size` (bytes)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="uploads")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    file_name = models.TextField()
    size = models.PositiveBigIntegerField()
    received = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(auto_now=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(received__lte=models.F("size")), name="upload_not_past_its_size")
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def is_complete(self) -> bool:
        return self.received == self.size

    @property
    def path(self) -> Path:
        """Where the bytes lie. The name is ours, never the client's."""
        return Path(settings.UPLOAD_ROOT) / self.id.hex
