"""Fixtures of the whole suite."""

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.factories import make_user


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """Slow hashes, made for attackers, would be most of the suite's time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user(db: None) -> User:
    return make_user("alice")


@pytest.fixture
def client_of():
    """A logged-in client: client_of(user)."""

    def build(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return build
