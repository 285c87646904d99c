"""Who takes part: invite, change roles, remove, leave."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Invitation, Membership, Project, Role, User
from accounts.projects import personal_project
from tests.factories import make_project, make_user


@pytest.fixture
def bob(db: None) -> User:
    return make_user("bob")


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user)


@pytest.fixture
def page(project: Project) -> str:
    return reverse("accounts:members", args=[project.slug])


def membership_of(user: User, project: Project) -> Membership:
    return Membership.objects.get(user=user, project=project)


def change(client: Client, membership: Membership, role: str):
    return client.post(reverse("accounts:member_role", args=[membership.project.slug, membership.pk]), {"role": role})


def remove(client: Client, membership: Membership):
    return client.post(reverse("accounts:member_remove", args=[membership.project.slug, membership.pk]))


def test_inviting(client_of, user: User, bob: User, project: Project, page: str) -> None:
    client_of(user).post(page, {"username": "bob", "role": "editor"})
    assert Invitation.objects.get(user=bob, project=project).role == Role.EDITOR


def test_inviting_twice_changes_the_role(client_of, user: User, bob: User, page: str) -> None:
    for role in ("editor", "viewer"):
        client_of(user).post(page, {"username": "bob", "role": role})
    assert Invitation.objects.get(user=bob).role == Role.VIEWER


def test_an_unknown_name_is_said(client_of, user: User, page: str) -> None:
    answer = client_of(user).post(page, {"username": "nobody", "role": "editor"})
    assert answer.status_code == 422 and "Nobody here is called" in answer.content.decode()


def test_a_member_is_not_invited_again(client_of, user: User, page: str) -> None:
    assert client_of(user).post(page, {"username": "alice", "role": "viewer"}).status_code == 422


def test_only_admins_invite(client_of, project: Project, page: str, bob: User) -> None:
    Membership.objects.create(project=project, user=bob, role=Role.EDITOR)
    assert client_of(bob).post(page, {"username": "alice", "role": "viewer"}).status_code == 403


def test_a_viewer_sees_the_members(client_of, project: Project, page: str, bob: User) -> None:
    Membership.objects.create(project=project, user=bob, role=Role.VIEWER)
    assert "alice" in client_of(bob).get(page).content.decode()


def test_a_stranger_sees_nothing(client_of, page: str, bob: User) -> None:
    assert client_of(bob).get(page).status_code == 404


def test_changing_a_role(client_of, user: User, project: Project, bob: User) -> None:
    membership = Membership.objects.create(project=project, user=bob, role=Role.VIEWER)
    change(client_of(user), membership, "admin")
    assert membership_of(bob, project).role == Role.ADMIN


def test_an_unknown_role_changes_nothing(client_of, user: User, project: Project, bob: User) -> None:
    membership = Membership.objects.create(project=project, user=bob, role=Role.VIEWER)
    change(client_of(user), membership, "emperor")
    assert membership_of(bob, project).role == Role.VIEWER


def test_only_admins_change_roles(client_of, project: Project, bob: User) -> None:
    membership = Membership.objects.create(project=project, user=bob, role=Role.EDITOR)
    assert change(client_of(bob), membership, "admin").status_code == 403


def test_the_last_admin_stays_one(client_of, user: User, project: Project) -> None:
    change(client_of(user), membership_of(user, project), "viewer")
    assert membership_of(user, project).role == Role.ADMIN


def test_the_last_admin_cannot_leave(client_of, user: User, project: Project) -> None:
    answer = client_of(user).post(
        reverse("accounts:member_remove", args=[project.slug, membership_of(user, project).pk]), follow=True
    )
    assert "is the only admin" in answer.content.decode() and membership_of(user, project)


def test_one_of_two_admins_can_leave(client_of, user: User, project: Project, bob: User) -> None:
    Membership.objects.create(project=project, user=bob, role=Role.ADMIN)
    remove(client_of(user), membership_of(user, project))
    assert not project.memberships.filter(user=user).exists()


def test_a_viewer_can_leave(client_of, project: Project, bob: User) -> None:
    remove(client_of(bob), Membership.objects.create(project=project, user=bob, role=Role.VIEWER))
    assert not project.memberships.filter(user=bob).exists()


def test_a_viewer_removes_nobody(client_of, user: User, project: Project, bob: User) -> None:
    Membership.objects.create(project=project, user=bob, role=Role.VIEWER)
    assert remove(client_of(bob), membership_of(user, project)).status_code == 403


def test_an_admin_removes(client_of, user: User, project: Project, bob: User) -> None:
    remove(client_of(user), Membership.objects.create(project=project, user=bob, role=Role.EDITOR))
    assert not project.memberships.filter(user=bob).exists()


def test_a_personal_project_keeps_its_owner(client_of, user: User, bob: User) -> None:
    own = personal_project(user)
    Membership.objects.create(project=own, user=bob, role=Role.ADMIN)
    remove(client_of(bob), membership_of(user, own))
    assert membership_of(user, own).role == Role.ADMIN


def test_memberships_of_other_projects_are_out_of_reach(client_of, user: User, project: Project, bob: User) -> None:
    elsewhere = membership_of(bob, make_project(bob))
    answer = client_of(user).post(reverse("accounts:member_remove", args=[project.slug, elsewhere.pk]))
    assert answer.status_code == 404 and Membership.objects.filter(pk=elsewhere.pk).exists()


def test_withdrawing_an_invitation(client_of, user: User, bob: User, project: Project, page: str) -> None:
    client_of(user).post(page, {"username": "bob", "role": "editor"})
    invitation = Invitation.objects.get()
    client_of(user).post(reverse("accounts:invitation_withdraw", args=[project.slug, invitation.pk]))
    assert not Invitation.objects.exists()
