"""The one place that says who may do what.

A stranger learns nothing: what you may not see does not exist (404). A member whose role does not suffice is told so (403).
"""

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.models import Membership, Project, Role, User

RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.ADMIN: 2}


def role_in(user: User, project: Project) -> Role | None:
    """The user's role in the project, or None for a stranger."""
    role = Membership.objects.filter(user=user, project=project).values_list("role", flat=True).first()
    return Role(role) if role else None


def require_role(user: User, project: Project, needed: Role) -> Role:
    """The user's role where it suffices; Http404 for strangers, PermissionDenied for lesser members."""
    role = role_in(user, project)
    if role is None:
        raise Http404
    if RANK[role] < RANK[needed]:
        raise PermissionDenied(
            f"You are {role.label.lower()} of {project.name}; this needs {needed.label.lower()}. "
            "An admin of the project can change your role."
        )
    return role


def get_project(user: User, slug: str, needed: Role = Role.VIEWER) -> Project:
    """The project by its slug, where the user's role there suffices."""
    projects: QuerySet[Project] = Project.objects.visible_to(user)
    project = get_object_or_404(projects, slug=slug)
    require_role(user, project, needed)
    return project
