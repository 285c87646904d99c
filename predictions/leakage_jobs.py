"""Asking for leakage checks: make the rows, ring the bell."""

from accounts.models import User
from predictions import leakage_checks, tasks
from predictions.models import PredictionSetVersion


def check_registered(drawn: PredictionSetVersion, user: User | None) -> None:
    """A process has registered what it drew: a worker holds the project's golden sets against it."""
    for check in leakage_checks.due(drawn, user):
        tasks.run_leakage_check.delay_on_commit(check.pk)
