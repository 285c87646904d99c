"""Whether the process lives, and whether everything it needs does."""

from collections.abc import Callable

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import celery_app, embedded

WORKERS_ANSWER_WITHIN = 1.0


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
    found = {name: _outcome(check) for name, check in checks.items()}
    ready = all(part["ok"] for part in found.values())
    return JsonResponse({"status": "ready" if ready else "not ready", **found}, status=200 if ready else 503)


def _outcome(check: Callable[[], str]) -> dict[str, object]:
    try:
        return {"ok": True, "detail": check()}
    except Exception as error:
        # Whatever goes wrong here is the answer. The kind suffices: messages may hold addresses and names.
        return {"ok": False, "detail": f"{type(error).__name__}"}


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "answers"


def _broker() -> str:
    url = settings.REDIS_URL or embedded.redis_cache_url(settings.DATA_DIR)
    with redis.Redis.from_url(url, socket_timeout=2) as client:
        client.ping()
    return "answers"


class NoWorkers(Exception):
    pass


def _workers() -> str:
    answers = celery_app.control.broadcast("ping", reply=True, limit=2, timeout=WORKERS_ANSWER_WITHIN)
    if not answers:
        raise NoWorkers
    return ", ".join(sorted(name for answer in answers for name in answer))
