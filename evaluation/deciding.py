"""Pass, fail or undecided: by where a score's whole interval lies, never by its point alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"
# Differences of adding up; smaller ones are none.
EQUAL_WITHIN = 1e-9
Interval = tuple[float, float]


@dataclass(frozen=True)
class Decision:
    """Of one limit. `kind` is `limit` (the mean or rate itself) or `drop` (how much worse than the baseline: positive is worse).

    `interval` is the 95 % interval of `value`; both are None where there is nothing to measure.
    """

    metric: str
    label: str
    kind: str
    limit: float
    outcome: str
    reason: str
    value: float | None = None
    interval: Interval | None = None
    items: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def side(interval: Interval, limit: float, *, lower_is_better: bool) -> str:
    """Where the whole interval lies: on the good side of the limit (on it included), on the bad one, or on both."""
    low, high = (-interval[1], -interval[0]) if lower_is_better else interval
    limit = -limit if lower_is_better else limit
    if low >= limit - EQUAL_WITHIN:
        return PASS
    return FAIL if high < limit - EQUAL_WITHIN else UNDECIDED


def decide(
    metric: str,
    label: str,
    kind: str,
    limit: float,
    value: float | None,
    interval: Interval | None,
    items: int,
    *,
    lower_is_better: bool,
    least_items: int,
    decimals: int = 3,
) -> Decision:
    """Of a drop, `value` and `interval` are how much worse it is, so that lower is better."""
    lower = lower_is_better or kind == "drop"

    def found(outcome: str, reason: str) -> Decision:
        return Decision(metric, label, kind, limit, outcome, reason, value, interval, items)

    if value is None or not items:
        return found(UNDECIDED, f"{label} is not defined for this run.")
    if items < least_items:
        return found(UNDECIDED, f"{label} is known of {items:,} items; the gate needs {least_items:,} to decide.")
    if interval is None:
        return found(UNDECIDED, f"{label} has no interval over {items:,} items.")
    outcome = side(interval, limit, lower_is_better=lower)
    allowed = f"{limit:g} worse is allowed" if kind == "drop" else f"at {'most' if lower else 'least'} {limit:g} is asked"
    measured = _measured(label, kind, value, interval, items, decimals)
    return found(outcome, f"{measured}; {allowed}: {WORDS[outcome]}.")


WORDS = {
    PASS: "the whole interval is within the limit",
    FAIL: "the whole interval is beyond the limit",
    UNDECIDED: "the interval straddles the limit, more items would narrow it",
}


def _measured(label: str, kind: str, value: float, interval: Interval, items: int, decimals: int) -> str:
    low, high = (f"{bound + 0.0:.{decimals}f}" for bound in interval)
    if kind == "limit":
        return f"{label} {value:.{decimals}f} (95 % interval {low} to {high}, {items:,} items)"
    against = "as good as the baseline's"
    if abs(value) > EQUAL_WITHIN:
        against = f"{abs(value):.{decimals}f} {'worse' if value > 0 else 'better'} than the baseline's"
    return f"{label} is {against} (95 % interval of the loss {low} to {high}, {items:,} items)"


def overall(outcomes: Sequence[str]) -> str:
    """One that fails is enough; one that is undecided keeps the rest from passing."""
    if FAIL in outcomes:
        return FAIL
    return PASS if outcomes and set(outcomes) == {PASS} else UNDECIDED
