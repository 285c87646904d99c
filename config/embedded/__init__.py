"""PostgreSQL and Redis of our own, for where no address is set.

They live under the data folder, speak through Unix sockets only, and start when somebody first asks for them. Several
commands share the one server. `manage.py services` shows and stops them.
"""

from pathlib import Path
from typing import Any

from config.embedded import postgres, redis
from config.embedded.places import EmbeddedError

__all__ = ["EmbeddedError", "postgres", "postgres_settings", "redis", "redis_broker_url", "redis_cache_url"]


def postgres_settings(data_dir: Path, *, tied: bool = False) -> dict[str, Any]:
    """USER, PASSWORD, HOST and PORT of the running server, started where needed. Raises EmbeddedError in words."""
    return postgres.ensure_running(data_dir, tied=tied)


def redis_broker_url(data_dir: Path) -> str:
    """The address as Celery wants it; the server is started where needed."""
    socket, password = redis.ensure_running(data_dir)
    return f"redis+socket://:{password}@{socket}?virtual_host=0"


def redis_cache_url(data_dir: Path) -> str:
    """The address as redis-py wants it, database 1; the server is started where needed."""
    socket, password = redis.ensure_running(data_dir)
    return f"unix://:{password}@{socket}?db=1"
