"""Celery: queue `cpu` for imports and evaluation, queue `gpu` for models. No results are kept: the job's row is the truth."""

import os
import warnings
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

from config.embedded import places

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Messages are JSON, so a worker of root is not the danger that Celery warns of at length.
warnings.filterwarnings("ignore", message=".*superuser privileges")


class TouchstoneCelery(Celery):
    """Asks for the broker's address only when a message is sent or awaited: that may start the embedded Redis."""

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(url or broker_url(), **options)

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(url or broker_url(), **options)


def broker_url() -> str:
    from django.conf import settings

    from config import embedded

    return settings.REDIS_URL or embedded.redis_broker_url(settings.DATA_DIR)


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """In a process of the pool: be killed with the worker, however it ends. Its job's row says what became of it."""
    places.end_with_parent("celery")


app = TouchstoneCelery("touchstone")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_default_queue="cpu",
    task_routes={"inference.*": {"queue": "gpu"}},
    # A worker that dies gives its message back; the row's claim makes a second delivery harmless.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 6 * 3600, "socket_timeout": 30, "socket_connect_timeout": 5},
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    beat_schedule={
        "ring-forgotten-jobs": {"task": "datasets.tasks.ring_forgotten_jobs", "schedule": 30.0},
        "go-on-with-tests": {"task": "evaluation.tasks.go_on_with_tests", "schedule": 10.0},
        "sweep-uploads": {"task": "datasets.tasks.sweep_uploads", "schedule": 3600.0},
        "sweep-inference-files": {
            "task": "inference.tasks.sweep_files",
            "schedule": 3600.0,
            "options": {"queue": "cpu"},
        },
    },
)
app.autodiscover_tasks()
