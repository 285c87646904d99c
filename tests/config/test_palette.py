"""Ctrl-K finds what is one's own."""

import pytest
from django.test import Client

from accounts.models import Project, User
from tests.factories import make_dataset, make_project, make_run


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="Bridges")


def found(client: Client, words: str = "") -> str:
    return client.get("/jump/", {"q": words}).content.decode()


def test_it_finds_datasets(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project, name="rust-2026")
    assert dataset.get_absolute_url() in found(client_of(user), "2026 rust")


def test_it_finds_runs_by_their_dataset(client_of, user: User, project: Project) -> None:
    make_run(make_dataset(project, name="rust-2026"), "epoch-12")
    assert "epoch-12" in found(client_of(user), "rust")


def test_it_finds_projects_and_pages(client_of, user: User, project: Project) -> None:
    assert project.get_absolute_url() in found(client_of(user), "bridg")
    assert "/account/tokens/" in found(client_of(user), "token")


def test_it_hides_what_others_have(client_of, user: User) -> None:
    make_run(make_dataset(make_project(name="Hidden"), name="hidden-set"), "hidden-run")
    assert "idden" not in found(client_of(user)).replace("aria-hidden", "")


def test_it_says_when_there_is_nothing(client_of, user: User) -> None:
    assert "Nothing of yours" in found(client_of(user), "zzz")
