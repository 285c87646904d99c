"""Making projects and taking part in them."""

from collections.abc import Iterator

from django.db import transaction
from django.utils.text import slugify

from accounts.models import Invitation, Membership, Project, Role, User


def free_slug(name: str) -> str:
    """A slug for the name that no project has yet."""
    stem = slugify(name)[:50] or "project"
    taken = set(Project.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    return next(slug for slug in _candidates(stem) if slug not in taken)


def _candidates(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}-{number}" for number in range(2, 1_000_000))


@transaction.atomic
def create_project(user: User, name: str, *, personal: bool = False) -> Project:
    """A new project with this user as its admin."""
    project = Project.objects.create(
        name=name, slug=free_slug(name), personal_owner=user if personal else None
    )
    Membership.objects.create(project=project, user=user, role=Role.ADMIN)
    return project


def personal_project(user: User) -> Project:
    """The user's own project, made when it is first asked for."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        project = Project.objects.filter(personal_owner=user).first()
        return project or create_project(user, user.get_username(), personal=True)


@transaction.atomic
def accept_invitation(invitation: Invitation) -> Membership:
    """The invitation becomes a membership; an existing membership keeps its role."""
    membership, _ = Membership.objects.get_or_create(
        project=invitation.project, user=invitation.user, defaults={"role": invitation.role}
    )
    invitation.delete()
    return membership
