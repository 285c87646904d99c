"""Fixtures of the whole suite."""

from pathlib import Path

import pytest
from django.conf import settings as configured
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from config import embedded
from tests.factories import make_user
from tests.world import World

SERVERS = [embedded.postgres, embedded.redis]
ran_before = pytest.StashKey[list]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ran_before] = [server for server in SERVERS if server.process_id(configured.DATA_DIR) is not None]


def pytest_unconfigure(config: pytest.Config) -> None:
    """The embedded servers that this session started end with it; those that ran before go on."""
    if hasattr(config, "workerinput"):
        return  # a part of a parallel session: the whole of it cleans up
    for server in SERVERS:
        if server not in config.stash[ran_before]:
            server.stop(configured.DATA_DIR)


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


@pytest.fixture
def media_in_tmp(settings: Settings, tmp_path: Path) -> None:
    """What the storage keeps goes with the test, and so do uploads and what imports unpack."""
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path / "media"}}
    settings.STORAGES = {**settings.STORAGES, "default": files}
    settings.UPLOAD_ROOT, settings.SCRATCH_ROOT = tmp_path / "uploads", tmp_path / "scratch"


@pytest.fixture
def world(db: None, media_in_tmp: None) -> World:
    return World()
