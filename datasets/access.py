"""Fetching a dataset for somebody: what they may not see does not exist (404), a lesser role is told so (403)."""

from django.shortcuts import get_object_or_404

from accounts.access import require_role
from accounts.models import Role, User
from datasets.models import Dataset


def get_dataset(user: User, pk: int, needed: Role = Role.VIEWER) -> Dataset:
    """The dataset with its project. Raises Http404 for strangers, PermissionDenied for lesser members."""
    dataset = get_object_or_404(Dataset.objects.visible_to(user).select_related("project"), pk=pk)
    if needed != Role.VIEWER:  # seeing it is being at least a viewer
        require_role(user, dataset.project, needed)
    return dataset
