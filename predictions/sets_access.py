"""Fetching a set or a version for somebody: what they may not see does not exist (404), a lesser role is told so (403)."""

from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.access import require_role
from accounts.models import Role, User
from predictions import curation
from predictions.models import PredictionSet, PredictionSetVersion


def get_set(user: User, pk: int, needed: Role = Role.VIEWER) -> PredictionSet:
    asked = get_object_or_404(PredictionSet.objects.visible_to(user).select_related("project"), pk=pk)
    if needed != Role.VIEWER:  # seeing it is being at least a viewer
        require_role(user, asked.project, needed)
    return asked


def get_version(asked: PredictionSet, name: str) -> PredictionSetVersion:
    """By number, `draft` or `latest`. Raises Http404."""
    if name == "draft":
        found = curation.draft_of(asked)
    elif name == "latest":
        found = curation.latest_of(asked)
    else:
        numbered = asked.versions.published().filter(number=int(name)) if name.isdecimal() and len(name) < 10 else None
        found = numbered.first() if numbered is not None else None
    if found is None:
        raise Http404
    found.prediction_set = asked
    return found
