"""Whether the process lives, and whether everything it needs does."""

import logging
import threading
import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import embedded
from config.celery import app as celery_app

WORKERS_ANSWER_WITHIN = 1.0
WORKERS_ASKED_EVERY = 5.0
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


class _Workers:
    """The last answer of the workers. Asking takes up to a second, and anybody may call this page as often as they like."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked_at = -WORKERS_ASKED_EVERY
        self.queues: dict[str, int] = {}

    def served(self) -> dict[str, int]:
        """How many workers serve each queue, at most a few seconds old; where none did, they are asked again."""
        with self.lock:
            pause = WORKERS_ASKED_EVERY if self.queues else 0
            if time.monotonic() - self.asked_at > pause:
                self.queues = _ask_workers()
                self.asked_at = time.monotonic()
            return self.queues


_last = _Workers()


def _ask_workers() -> dict[str, int]:
    # Two is what one `manage.py up` runs: with both answers there the wait is over.
    answers = celery_app.control.broadcast("active_queues", reply=True, limit=2, timeout=WORKERS_ANSWER_WITHIN) or []
    served: dict[str, int] = {}
    for answer in answers:
        for queues in answer.values():
            for queue in queues:
                served[queue["name"]] = served.get(queue["name"], 0) + 1
    return served


def _workers() -> str:
    served = _last.served()
    if not served.get(NEEDED_QUEUE):
        raise NotServed(f"no worker serves the queue {NEEDED_QUEUE}: start one with 'manage.py up', or see its log")
    return ", ".join(f"{queue}: {count}" for queue, count in sorted(served.items()))
