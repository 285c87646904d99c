"""Which queues workers serve, as they answer themselves; at most a few seconds old."""

import threading
import time

from celery import current_app

ANSWER_WITHIN = 1.0
ASKED_EVERY = 5.0


class Workers:
    """The last answer of the workers. Asking takes up to a second, and anybody may cause it as often as they like."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked_at = -ASKED_EVERY
        self.queues: dict[str, int] = {}

    def served(self) -> dict[str, int]:
        """How many workers serve each queue; where none did, they are asked again."""
        with self.lock:
            pause = ASKED_EVERY if self.queues else 0
            if time.monotonic() - self.asked_at > pause:
                self.queues = ask_workers()
                self.asked_at = time.monotonic()
            return self.queues


last = Workers()


def ask_workers() -> dict[str, int]:
    # Two is what one `manage.py up` runs: with both answers there the wait is over.
    answers = current_app.control.broadcast("active_queues", reply=True, limit=2, timeout=ANSWER_WITHIN) or []
    served: dict[str, int] = {}
    for answer in answers:
        for queues in answer.values():
            for queue in queues:
                served[queue["name"]] = served.get(queue["name"], 0) + 1
    return served


def is_served(queue: str) -> bool:
    """As of a few seconds ago, also where nobody answered then: pages that ask each second must not wait each time."""
    is_recent = time.monotonic() - last.asked_at < ASKED_EVERY
    return bool((last.queues if is_recent else last.served()).get(queue))
