"""Making projects and taking part in them."""

from collections.abc import Iterator

from django.db import transaction
from django.utils.text import slugify

from accounts.models import Invitation, Membership, Project, Role, User

RESERVED_SLUGS = {"new"}  # /projects/new/ is a page


def free_slug(name: str) -> str:
    """A slug for the name that no project has yet."""
    stem = slugify(name)[:50] or "project"
    taken = RESERVED_SLUGS | set(Project.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    return next(slug for slug in _candidates(stem) if slug not in taken)


def _candidates(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}-{number}" for number in range(2, 1_000_000))


@transaction.atomic
def create_project(user: User, name: str, *, personal: bool = False) -> Project:
    """A new project with this user as its admin."""
    project = Project.objects.create(name=name, slug=free_slug(name), personal_owner=user if personal else None)
    Membership.objects.create(project=project, user=user, role=Role.ADMIN)
    return project


def personal_project(user: User) -> Project:
    """The user's own project, made when it is first asked for."""
    own = Project.objects.filter(personal_owner=user)
    if project := own.first():
        return project
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        return own.first() or create_project(user, user.get_username(), personal=True)


@transaction.atomic
def accept_invitation(invitation: Invitation) -> Membership:
    """The invitation becomes a membership; an existing membership keeps its role."""
    membership, _ = Membership.objects.get_or_create(
        project=invitation.project, user=invitation.user, defaults={"role": invitation.role}
    )
    invitation.delete()
    return membership


class MembershipRefused(Exception):
    """What cannot be done with a place in a project; the text says why and what to do instead."""


@transaction.atomic
def invite(project: Project, user: User, role: Role, invited_by: User) -> Invitation:
    """Offer a place. A second offer to the same person changes the role of the first."""
    invitation, _ = Invitation.objects.update_or_create(
        project=project, user=user, defaults={"role": role, "invited_by": invited_by}
    )
    return invitation


@transaction.atomic
def change_role(membership: Membership, role: Role) -> None:
    """Raises MembershipRefused where the project would lose its last admin, or its owner their rights."""
    locked = _locked(membership)
    if role != Role.ADMIN:
        _check_can_go(locked, "become less than an admin")
    locked.role = role
    locked.save(update_fields=["role"])


@transaction.atomic
def end_membership(membership: Membership) -> None:
    """Raises MembershipRefused where the project would lose its last admin or its owner."""
    locked = _locked(membership)
    _check_can_go(locked, "leave")
    locked.delete()


def _locked(membership: Membership) -> Membership:
    """Memberships of one project change one after the other, so that two admins cannot leave at the same time."""
    Project.objects.select_for_update(no_key=True).get(pk=membership.project_id)
    return Membership.objects.select_related("project", "user").get(pk=membership.pk)


def _check_can_go(membership: Membership, what: str) -> None:
    if membership.project.personal_owner_id == membership.user_id:
        raise MembershipRefused(f"This is the personal project of {membership.user}, who cannot {what}.")
    others = membership.project.memberships.filter(role=Role.ADMIN).exclude(pk=membership.pk)
    if membership.role == Role.ADMIN and not others.exists():
        raise MembershipRefused(f"{membership.user} is the only admin and cannot {what}. Make somebody else an admin first.")
