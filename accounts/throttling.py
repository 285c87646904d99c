"""A brake on guessing passwords: failed log-ins are counted by user name and address, in the cache."""

import hashlib

from django.core.cache import cache
from django.http import HttpRequest

MAX_FAILURES = 8
WINDOW = 15 * 60  # seconds


def is_blocked(request: HttpRequest, username: str) -> bool:
    return int(cache.get(_key(request, username), 0)) >= MAX_FAILURES


def note_failure(request: HttpRequest, username: str) -> None:
    key = _key(request, username)
    cache.add(key, 0, WINDOW)
    try:
        cache.incr(key)
    except ValueError:  # it expired between the two
        cache.set(key, 1, WINDOW)


def forget_failures(request: HttpRequest, username: str) -> None:
    cache.delete(_key(request, username))


def _key(request: HttpRequest, username: str) -> str:
    # A digest: names may hold anything, and keys of the cache may not.
    who = f"{username.strip().casefold()}\0{request.META.get('REMOTE_ADDR', '')}"
    return f"login-failures:{hashlib.sha256(who.encode()).hexdigest()}"
