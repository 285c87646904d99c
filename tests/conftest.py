"""Fixtures of the whole suite."""

import pytest
from django.test import Client

from accounts.models import User
from tests.factories import make_user


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
