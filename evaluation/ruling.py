"""Whether a run breaks a rule: from the totals of the run and of what it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.measures import EQUAL_WITHIN, Measure
from evaluation.models import AlertRule, RuleKind
from predictions.totals import Totals


@dataclass(frozen=True)
class Ruling:
    """`reference` is what the value was held against: another run's value, or the threshold."""

    is_breach: bool
    value: float
    reference: float
    message: str


def judge(rule: AlertRule, place: str, totals: Mapping[str, Any], other: Mapping[str, Any] | None = None) -> Ruling | None:
    """Of a run at `place` (such as "Epoch 3") with its totals; `other` are those of the run it is compared with.

    None where a score is not defined, or nothing is there to compare with.
    """
    measure = rule.measure
    value = _value(measure, totals)
    reference = rule.threshold if rule.kind == RuleKind.PASS_RATE else _value(measure, other)
    if value is None or reference is None:
        return None
    return Ruling(is_breach(rule, value, reference), value, reference, _message(rule, measure, place, value, reference))


def _value(measure: Measure, totals: Mapping[str, Any] | None) -> float | None:
    return measure.value(Totals.from_json(totals)) if totals else None


def is_breach(rule: AlertRule, value: float, reference: float) -> bool:
    """Exactly as much as allowed is allowed, whatever the last bits of the sums say."""
    allowed = 0.0 if rule.kind == RuleKind.PASS_RATE else rule.threshold
    return rule.measure.worse_by(value, reference) > allowed + EQUAL_WITHIN


def _message(rule: AlertRule, measure: Measure, place: str, value: float, reference: float) -> str:
    shown = f"{place}: {measure.label} {measure.shown(value)}"
    if rule.kind == RuleKind.PASS_RATE:
        return f"{shown}, under the threshold {reference:g}"
    against = "the firing before" if rule.kind == RuleKind.PREVIOUS else "the baseline"
    worse = measure.worse_by(value, reference)
    return f"{shown}, {measure.shown(worse)} worse than {against} ({measure.shown(reference)}); {rule.threshold:g} is allowed"
