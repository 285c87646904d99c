"""Every address of the project, asked by everybody with every method, answers as the table says.

The addresses come from the resolver: a new one without a row in tests/access_table.py fails here.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from accounts.models import ApiToken, User
from datasets.models import Annotation
from tests.access_table import API, PEOPLE, TABLE, Row
from tests.world import World

# --- The addresses ---------------------------------------------------------------------------------------------------


def walk(patterns: list[Any], namespace: str = "") -> Iterator[str]:
    """Names of all URL patterns, with their namespaces; those without a name as their route."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield namespace + (pattern.name or f"(nameless) {pattern.pattern}")
        else:
            yield from walk(pattern.url_patterns, namespace + (f"{pattern.namespace}:" if pattern.namespace else ""))


NAMES = sorted(set(walk(get_resolver().url_patterns)))
# Django's own: the old addresses of rows, and everything else below /admin/.
NAMELESS = {"admin:(nameless) <path:object_id>/", "admin:(nameless) (?P<url>.*)$"}


def test_every_address_has_a_row() -> None:
    missing = set(NAMES) - set(TABLE) - NAMELESS
    assert not missing, f"No expected answers for {sorted(missing)}: add a row for each to tests/access_table.py."


def test_every_row_has_an_address() -> None:
    gone = set(TABLE) - set(NAMES)
    assert not gone, f"No such address any more: {sorted(gone)}. Remove them from tests/access_table.py."


# --- Asking ----------------------------------------------------------------------------------------------------------
def ask(client: Client, method: str, url: str, row: Row, *, is_api: bool) -> str:
    """The answer in the table's words. What it changes is undone."""
    with transaction.atomic():
        if is_api and method != "GET":
            body = json.dumps(row.body)
            response = client.generic(method, url, body, content_type="application/json", headers=row.headers)
        else:
            response = client.generic(method, url) if method != "POST" else client.post(url, row.body)
        for _ in getattr(response, "streaming_content", ()):
            pass
        transaction.set_rollback(True)
    if response.status_code == 302:
        target = urlsplit(response.headers["Location"]).path
        return {"/login/": "login", "/admin/login/": "admin"}.get(target, "302")
    return str(response.status_code)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_address_answers_as_the_table_says(name: str, world: World) -> None:
    row = TABLE[name]
    url = reverse(name, kwargs=world.arguments[row.of])
    found, expected = {}, {}
    for method, answers in row.answers().items():
        for person, answer in zip(PEOPLE, answers.split(), strict=True):
            found[method, person] = ask(world.client(person), method, url, row, is_api=name in API)
            expected[method, person] = answer
    wrong = {cell: f"{found[cell]}, not {expected[cell]}" for cell in found if found[cell] not in expected[cell].split("|")}
    assert not wrong, f"{name} ({url}) answers otherwise than tests/access_table.py says: {wrong}"


@pytest.mark.parametrize("url", ["/admin/datasets/dataset/1/", "/admin/no-such-page"])
def test_nameless_addresses_of_the_admin_are_for_staff(url: str, world: World) -> None:
    answers = [ask(world.client(person), "GET", url, Row(), is_api=False) for person in PEOPLE]
    assert answers[0] in ("login", "admin") and answers[1:-1] == ["admin"] * 4


@pytest.mark.parametrize("name", sorted(name for name, row in TABLE.items() if "302" in row.post and name not in API))
def test_pages_take_no_post_from_another_site(name: str, world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["superuser" if name.startswith("admin:") else "admin"])
    assert client.post(reverse(name, kwargs=world.arguments[TABLE[name].of])).status_code == 403


@pytest.mark.parametrize("name", sorted(name for name in API if "200" in API[name].get))
def test_the_api_knows_tokens(name: str, world: World) -> None:
    _, key = ApiToken.issue(world.people["editor"], "script")
    url = reverse(name, kwargs=world.arguments[API[name].of])
    assert Client(headers={"Authorization": f"Bearer {key}"}).get(url).status_code == 200


@pytest.mark.parametrize("name", sorted(name for name in API if "401" in API[name].get))
def test_the_api_refuses_a_wrong_token(name: str, world: World) -> None:
    url = reverse(name, kwargs=world.arguments[API[name].of])
    assert Client(headers={"Authorization": "Bearer ts_wrong"}).get(url).status_code == 401


def test_users_who_are_switched_off_are_strangers_everywhere(world: World) -> None:
    client = world.client("editor")
    User.objects.filter(pk=world.people["editor"].pk).update(is_active=False)
    url = reverse("accounts:project", kwargs=world.arguments["project"])
    assert ask(client, "GET", url, Row(), is_api=False) == "login"


def test_the_world_has_one_annotation(world: World) -> None:
    """What the table asks to be deleted is still there after a walk: answers never depend on their order."""
    row = TABLE["dataset-detail"]
    url = reverse("dataset-detail", kwargs=world.arguments["dataset"])
    assert ask(world.client("admin"), "DELETE", url, row, is_api=True) == "204"
    assert Annotation.objects.count() == 1
