"""With DATABASE_URL and REDIS_URL set, the real servers are used and no embedded one."""

import secrets
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from accounts.models import User
from config import embedded
from config.celery import app
from config.embedded import postgres, redis

pytestmark = pytest.mark.skipif(
    not (settings.DATABASE_URL and settings.REDIS_URL), reason="needs DATABASE_URL and REDIS_URL of real servers"
)


@pytest.fixture(autouse=True)
def no_embedded_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an embedded server was asked for")

    monkeypatch.setattr(postgres, "ensure_running", refuse)
    monkeypatch.setattr(redis, "ensure_running", refuse)


@pytest.mark.django_db
def test_rows_are_kept_by_the_database_at_the_address() -> None:
    User.objects.create_user(username="alice")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('data_directory')")
        assert embedded.postgres.NAME and str(settings.DATA_DIR) not in cursor.fetchone()[0]


def test_messages_go_through_the_broker_at_the_address() -> None:
    with app.connection_for_write() as broker, broker.SimpleQueue(f"check-{secrets.token_hex(8)}") as queue:
        queue.put({"number": 7})
        assert queue.get(timeout=5).payload == {"number": 7}
        queue.queue.delete()


def test_the_cache_lies_at_the_address() -> None:
    key = secrets.token_hex(8)
    cache.set(key, "kept", timeout=10)
    assert cache.get(key) == "kept"
