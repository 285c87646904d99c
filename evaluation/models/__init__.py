"""Judging: rules that watch, the alerts they raise, and where these are sent."""

from evaluation.models.alerts import Alert, AlertChannel, AlertRule, AlertStatus, ChannelKind, RuleKind
from evaluation.models.deliveries import Delivery, DeliveryStatus

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertRule",
    "AlertStatus",
    "ChannelKind",
    "Delivery",
    "DeliveryStatus",
    "RuleKind",
]
