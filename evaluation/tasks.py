"""Celery tasks: load, call, nothing else."""

from uuid import UUID

from celery import shared_task

from evaluation import notifying, watching


@shared_task
def watch() -> None:
    """Every few seconds: judge what is new by the rules, and ring for the messages that are due."""
    watching.look()
    for pk in notifying.due():
        deliver.delay(str(pk))


@shared_task
def deliver(delivery_pk: str) -> None:
    notifying.deliver(UUID(delivery_pk))


@shared_task
def forget_old_deliveries() -> None:
    notifying.forget_old_deliveries()
