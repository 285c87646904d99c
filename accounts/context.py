"""What every page's frame shows: the projects of this user and the version."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Project


def frame(request: HttpRequest) -> dict[str, Any]:
    """Lazy: pages without the sidebar pay nothing for it."""
    return {
        "frame_projects": SimpleLazyObject(lambda: list(Project.objects.visible_to(request.user).with_role())),
        "signup_open": settings.SIGNUP_OPEN,
        "version": settings.VERSION,
    }
