"""Whether the process lives, and whether everything it needs does."""

import logging
from collections.abc import Callable

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import embedded
from datasets import workers

NEEDED_QUEUE = "cpu"

log = logging.getLogger("touchstone.health")


@require_safe
@never_cache
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker and workers: 200 where all are there, else 503 with the reason."""
    checks: dict[str, Callable[[], str]] = {"database": _database, "broker": _broker, "workers": _workers}
    found = {name: _outcome(name, check) for name, check in checks.items()}
    ready = all(part["ok"] for part in found.values())
    return JsonResponse({"status": "ready" if ready else "not ready", **found}, status=200 if ready else 503)


def _outcome(name: str, check: Callable[[], str]) -> dict[str, object]:
    try:
        return {"ok": True, "detail": check()}
    except NotServed as reason:
        return {"ok": False, "detail": str(reason)}
    except Exception as error:
        # Whatever goes wrong here is the answer. Its words may hold addresses and names, and this page is public.
        log.warning("Not ready: %s: %s", name, error)
        return {"ok": False, "detail": f"does not answer ({type(error).__name__}); the server's log says more"}


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "answers"


def _broker() -> str:
    url = settings.REDIS_URL or embedded.redis_cache_url(settings.DATA_DIR)
    with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
        client.ping()
    return "answers"


class NotServed(Exception):
    """No worker takes messages of the queue that everything needs."""


def _workers() -> str:
    served = workers.last.served()
    if not served.get(NEEDED_QUEUE):
        raise NotServed(f"no worker serves the queue {NEEDED_QUEUE}: start one with 'manage.py up', or see its log")
    return ", ".join(f"{queue}: {count}" for queue, count in sorted(served.items()))
