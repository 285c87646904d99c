"""API tokens: made on a page or by a command, shown once, stored as a digest, revoked."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken, User
from tests.factories import make_user

PAGE = "/account/tokens/"


def make_token(client: Client, **data: str) -> str:
    """Through the page; returns the key as it is shown."""
    answer = client.post(PAGE, {"name": "script", "days": "", **data})
    return re.search(r"ts_[\w-]{40,}", answer.content.decode())[0]


def test_a_token_opens_the_api(client_of, client: Client, user: User) -> None:
    key = make_token(client_of(user))
    assert client.get("/api/projects/", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_the_key_is_not_stored(client_of, user: User) -> None:
    key = make_token(client_of(user))
    assert key not in str(list(ApiToken.objects.values()))


def test_the_key_is_shown_once(client_of, user: User) -> None:
    client = client_of(user)
    key = make_token(client)
    assert key not in client.get(PAGE).content.decode()


def test_days_become_an_expiry(client_of, user: User) -> None:
    make_token(client_of(user), days="7")
    left = ApiToken.objects.get().expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


def test_a_token_needs_a_name(client_of, user: User) -> None:
    assert client_of(user).post(PAGE, {"name": ""}).status_code == 422


def test_a_revoked_token_stops_working(client_of, client: Client, user: User) -> None:
    token, key = ApiToken.issue(user, "script")
    client_of(user).post(reverse("accounts:token_revoke", args=[token.pk]))
    assert client.get("/api/projects/", headers={"Authorization": f"Bearer {key}"}).status_code == 401


def test_an_expired_token_stops_working(client: Client, user: User) -> None:
    token, key = ApiToken.issue(user, "script", 1)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert client.get("/api/projects/", headers={"Authorization": f"Bearer {key}"}).status_code == 401


def test_nobody_revokes_tokens_of_others(client_of, user: User) -> None:
    token, _ = ApiToken.issue(make_user(), "theirs")
    answer = client_of(user).post(reverse("accounts:token_revoke", args=[token.pk]))
    assert answer.status_code == 404 and ApiToken.objects.exists()


def test_the_command_prints_the_token_alone(user: User) -> None:
    out = StringIO()
    call_command("create_token", "alice", stdout=out)
    assert ApiToken.objects.matching(out.getvalue().strip()).get().user == user


def test_the_command_sets_an_expiry(user: User) -> None:
    call_command("create_token", "alice", "--name", "nightly", "--days", "3", stdout=StringIO())
    assert ApiToken.objects.get(name="nightly").expires_at is not None


def test_the_command_names_an_unknown_user(db: None) -> None:
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("create_token", "nobody")


def test_the_command_refuses_no_days(user: User) -> None:
    with pytest.raises(CommandError, match="from 1 on"):
        call_command("create_token", "alice", "--days", "0")
