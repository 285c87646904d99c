"""Coming in and going out."""

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.throttling import MAX_FAILURES
from tests.factories import make_user

PASSWORD = "secret-for-tests"
pytestmark = pytest.mark.django_db


def log_in(client: Client, username: str, password: str = PASSWORD, address: str = "127.0.0.1"):
    return client.post(reverse("accounts:login"), {"username": username, "password": password}, REMOTE_ADDR=address)


@pytest.fixture
def somebody(db: None) -> User:
    """Under a new name, as failures are counted by name and outlive a test."""
    return make_user(f"user-{uuid.uuid4().hex}")


def test_login_leads_home(client: Client, somebody: User) -> None:
    assert log_in(client, somebody.username).url == reverse("accounts:home")


def test_home_is_ones_own_project_first(client_of, user: User) -> None:
    assert client_of(user).get("/").url == "/projects/alice/"


def test_anonymous_is_sent_to_the_login(client: Client) -> None:
    assert client.get("/projects/").url == "/login/?next=/projects/"


def test_login_never_leads_to_another_host(client: Client, somebody: User) -> None:
    data = {"username": somebody.username, "password": PASSWORD, "next": "https://example.com/"}
    assert client.post(reverse("accounts:login"), data).url == reverse("accounts:home")


def test_wrong_password_is_said(client: Client, somebody: User) -> None:
    assert "Please enter a correct username" in log_in(client, somebody.username, "wrong").content.decode()


def test_guessing_is_braked(client: Client, somebody: User) -> None:
    for _ in range(MAX_FAILURES):
        log_in(client, somebody.username, "wrong")
    assert "Too many failed log-ins" in log_in(client, somebody.username).content.decode()


def test_the_brake_holds_for_one_address_only(client: Client, somebody: User) -> None:
    for _ in range(MAX_FAILURES):
        log_in(client, somebody.username, "wrong")
    assert log_in(client, somebody.username, address="192.0.2.7").status_code == 302


def test_success_releases_the_brake(client: Client, somebody: User) -> None:
    for _ in range(MAX_FAILURES - 1):
        log_in(client, somebody.username, "wrong")
    log_in(client, somebody.username)
    client.logout()
    log_in(client, somebody.username, "wrong")
    assert log_in(client, somebody.username).status_code == 302


def test_logout_is_no_link(client_of, user: User) -> None:
    assert client_of(user).get(reverse("accounts:logout")).status_code == 405


def test_logout(client_of, user: User) -> None:
    client = client_of(user)
    client.post(reverse("accounts:logout"))
    assert "_auth_user_id" not in client.session


def test_password_change_keeps_this_session(client_of, user: User) -> None:
    client = client_of(user)
    new = "another-good-secret-7"
    client.post(reverse("accounts:password"), {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    user.refresh_from_db()
    assert user.check_password(new) and client.get(reverse("accounts:projects")).status_code == 200


def test_password_change_names_what_is_wrong(client_of, user: User) -> None:
    answer = client_of(user).post(
        reverse("accounts:password"), {"old_password": "wrong", "new_password1": "abc", "new_password2": "abc"}
    )
    assert answer.status_code == 422
