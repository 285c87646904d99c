"""What stands around every page: the sidebar, error pages, icons."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Context, Template
from django.test import Client, RequestFactory

from accounts.models import User
from accounts.templatetags.frame import initials, seconds_in_words
from tests.factories import make_project

TEMPLATES = sorted(Path(settings.BASE_DIR, "templates").rglob("*.html"))


def test_the_sidebar_lists_own_projects_only(client_of, user: User) -> None:
    make_project(name="Strangers")
    make_project(user, name="Mine")
    page = client_of(user).get("/account/password/").content.decode()
    assert "Mine" in page and "Strangers" not in page


def test_the_admin_link_is_for_staff(client_of, user: User) -> None:
    assert "/admin/" not in client_of(user).get("/account/password/").content.decode()


def test_not_found_says_or_not_yours(client_of, user: User) -> None:
    answer = client_of(user).get("/projects/nowhere/")
    assert answer.status_code == 404 and "not yours" in answer.content.decode()


def test_forbidden_names_the_role_that_is_needed(client_of, user: User) -> None:
    project = make_project(viewer=user)
    answer = client_of(user).get(f"/projects/{project.slug}/datasets/new/")
    assert answer.status_code == 403 and "this needs editor" in answer.content.decode()


def test_the_page_of_failures_needs_nothing(rf: RequestFactory) -> None:
    assert "broke on our side" in Template("{% include '500.html' %}").render(Context())


def test_missing_csrf_is_explained(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert "open too long" in client.post("/logout/").content.decode()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_nothing_that_the_policy_forbids(path: Path) -> None:
    source = path.read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son[a-z]+=|javascript:", source)


def test_every_icon_that_is_used_exists() -> None:
    sprite = Path(settings.BASE_DIR, "static/img/icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([\w-]+)"', sprite))
    used = {name for path in TEMPLATES for name in re.findall(r'{% icon "([\w-]+)"', path.read_text())}
    used |= {name for path in TEMPLATES for name in re.findall(r'icon_name="([\w-]+)"', path.read_text())}
    assert used <= known


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (0.2, "1 s"), (40, "40 s"), (170, "3 min"), (7500, "2 h 5 min"), (90_000, "1 d 1 h")]
)
def test_seconds_in_words(seconds: float | None, words: str) -> None:
    assert seconds_in_words(seconds) == words


@pytest.mark.parametrize(("name", "letters"), [("Wind turbine blades", "WT"), ("alice", "AL"), ("my_set", "MS"), ("x", "X")])
def test_initials(name: str, letters: str) -> None:
    assert initials(name) == letters
