"""Fetching checkpoints and exports for somebody: what they may not see does not exist (404), a lesser role is told so (403)."""

from django.shortcuts import get_object_or_404

from accounts.access import require_role
from accounts.models import Role, User
from inference.models import CheckpointExport
from predictions.models import Checkpoint


def get_checkpoint(user: User, pk: int, needed: Role = Role.VIEWER) -> Checkpoint:
    """With its project, job and maker. Raises Http404 for strangers, PermissionDenied for lesser members."""
    visible = Checkpoint.objects.visible_to(user).select_related("project", "job", "created_by")
    checkpoint = get_object_or_404(visible, pk=pk)
    if needed != Role.VIEWER:
        require_role(user, checkpoint.project, needed)
    return checkpoint


def get_export(user: User, pk: int, needed: Role = Role.VIEWER) -> CheckpointExport:
    """With its checkpoint and project; answers as get_checkpoint does."""
    visible = CheckpointExport.objects.visible_to(user).select_related("checkpoint__project", "checkpoint__job")
    export: CheckpointExport = get_object_or_404(visible, pk=pk)
    if needed != Role.VIEWER:
        require_role(user, export.checkpoint.project, needed)
    return export
