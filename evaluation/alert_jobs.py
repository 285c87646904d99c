"""Ringing for messages that are to be sent now."""

from collections.abc import Sequence

from evaluation import alerts
from evaluation.models import AlertChannel, AlertRule, Delivery
from evaluation.tasks import deliver


def send_test(channels: Sequence[AlertChannel], rule: AlertRule | None = None) -> list[Delivery]:
    """Through the real channels; what the other sides answer is in the rows. Raises TrialRefused."""
    deliveries = alerts.prepare_test(channels, rule)
    for delivery in deliveries:
        deliver.delay_on_commit(str(delivery.pk))
    return deliveries
