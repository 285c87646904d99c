"""Fetching a dataset or an import for somebody: what they may not see does not exist (404), a lesser role is told so (403)."""

from typing import TypeVar

from django.shortcuts import get_object_or_404

from accounts.access import require_role
from accounts.models import Role, User
from datasets.models import Dataset
from datasets.models.imports import ImportJob

AnyImport = TypeVar("AnyImport", bound=ImportJob)


def get_dataset(user: User, pk: int, needed: Role = Role.VIEWER) -> Dataset:
    """The dataset with its project. Raises Http404 for strangers, PermissionDenied for lesser members."""
    dataset = get_object_or_404(Dataset.objects.visible_to(user).select_related("project"), pk=pk)
    if needed != Role.VIEWER:  # seeing it is being at least a viewer
        require_role(user, dataset.project, needed)
    return dataset


def get_import(user: User, table: type[AnyImport], pk: int, needed: Role = Role.VIEWER) -> AnyImport:
    """An import of either kind, with its dataset and project; answers as get_dataset does."""
    visible = table.objects.visible_to(user).select_related("dataset__project", "created_by")
    job: AnyImport = get_object_or_404(visible, pk=pk)
    if needed != Role.VIEWER:
        require_role(user, job.dataset.project, needed)
    return job
