"""Judging: comparisons, rules that watch and the alerts they raise, gates and what they decided."""

from evaluation.models.alerts import Alert, AlertChannel, AlertRule, AlertStatus, ChannelKind, RuleKind
from evaluation.models.comparisons import Comparison
from evaluation.models.deliveries import Delivery, DeliveryStatus
from evaluation.models.gates import Gate, GateCheck, GateLimit, Outcome
from evaluation.models.test_runs import TestImageResult, TestMatches, TestRun

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertRule",
    "AlertStatus",
    "ChannelKind",
    "Comparison",
    "Delivery",
    "DeliveryStatus",
    "Gate",
    "GateCheck",
    "GateLimit",
    "Outcome",
    "RuleKind",
    "TestImageResult",
    "TestMatches",
    "TestRun",
]
