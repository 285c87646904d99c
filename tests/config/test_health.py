"""Whether the process lives, and whether everything it needs does."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from config.celery import app
from datasets import workers as workers_of


@pytest.fixture(autouse=True)
def forgetful_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_of, "last", workers_of.Workers())


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the workers answer, to be filled by the test."""
    answers: list[dict[str, Any]] = []
    monkeypatch.setattr(app.control, "broadcast", lambda *_, **__: answers)
    return answers


def test_healthz_answers_anybody_without_a_database(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz_is_ready_with_a_worker_for_the_queue_cpu(client: Client, workers: list[dict[str, Any]]) -> None:
    workers.append({"cpu@here": [{"name": "cpu"}]})
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["workers"]) == (200, {"ok": True, "detail": "cpu: 1"})


@pytest.mark.django_db
def test_readyz_names_the_queue_that_nobody_serves(client: Client, workers: list[dict[str, Any]]) -> None:
    workers.append({"gpu@here": [{"name": "gpu"}]})
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "no worker serves the queue cpu" in answer.json()["workers"]["detail"]


@pytest.mark.django_db
def test_readyz_really_asks_the_workers(client: Client) -> None:
    assert client.get("/readyz").json()["workers"]["ok"] is False


@pytest.mark.django_db
def test_readyz_tells_what_is_down_but_no_addresses(
    client: Client, workers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ConnectionError("secret-host:5432 refused")

    monkeypatch.setattr(connection, "cursor", fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "ConnectionError" in answer.json()["database"]["detail"]
    assert "secret-host" not in answer.content.decode()


@pytest.mark.django_db
def test_the_workers_are_not_asked_at_every_call(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(workers_of, "ask_workers", lambda: asked.append(1) or {"cpu": 1})
    client.get("/readyz")
    client.get("/readyz")
    assert len(asked) == 1


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_only_reading_is_allowed(client: Client, address: str) -> None:
    assert client.post(address).status_code == 405
