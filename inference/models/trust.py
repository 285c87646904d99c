"""Whose weights may be loaded although loading them runs code."""

from django.conf import settings
from django.db import models


class TrustedWeights(models.Model):
    """A file that an administrator of the server vouches for, by its digest: another byte is another file."""

    sha256 = models.CharField(max_length=64, unique=True)
    note = models.CharField(max_length=300, blank=True)
    trusted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    trusted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "trusted weights"

    def __str__(self) -> str:
        return self.sha256[:12]
