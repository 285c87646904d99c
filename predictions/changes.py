"""What changed between two firings of a job, item by item."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from predictions.models import PredictionRun, TextPrediction
from predictions.scoring import LOWER_IS_BETTER

# Differences below this are those of adding up.
EQUAL_WITHIN = 1e-9


@dataclass(frozen=True)
class Change:
    """An item's score at both firings; `gain` is positive where it got better, whatever the score's direction."""

    key: str
    before: float
    after: float
    gain: float

    @property
    def delta(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Changes:
    improved: list[Change] = field(default_factory=list)
    regressed: list[Change] = field(default_factory=list)
    unchanged: int = 0
    only_before: int = 0
    only_after: int = 0
    unscored: int = 0


def between(before: PredictionRun, after: PredictionRun, score: str) -> Changes:
    """Items that both answered, matched by key, most changed first; counts of the others."""
    old, new = _scores(before, score), _scores(after, score)
    shared = old.keys() & new.keys()
    compared = [key for key in shared if old[key] is not None and new[key] is not None]
    found = [_change(key, old[key] or 0.0, new[key] or 0.0, score) for key in compared]
    moved = [change for change in found if abs(change.gain) > EQUAL_WITHIN]
    return Changes(
        improved=_sorted(change for change in moved if change.gain > 0),
        regressed=_sorted(change for change in moved if change.gain < 0),
        unchanged=len(found) - len(moved),
        only_before=len(old.keys() - shared),
        only_after=len(new.keys() - shared),
        unscored=len(shared) - len(compared),
    )


def _scores(run: PredictionRun, score: str) -> dict[str, float | None]:
    return dict(TextPrediction.objects.filter(run=run).order_by().values_list("item__key", score))


def _change(key: str, before: float, after: float, score: str) -> Change:
    delta = after - before
    if score == "length_ratio":
        # One is the aim: nearer to it is better.
        return Change(key, before, after, abs(before - 1) - abs(after - 1))
    return Change(key, before, after, -delta if score in LOWER_IS_BETTER else delta)


def _sorted(found: Iterable[Change]) -> list[Change]:
    return sorted(found, key=lambda change: (-abs(change.gain), change.key))


def rows_of(run: PredictionRun, keys: Iterable[str]) -> dict[str, TextPrediction]:
    """The answers to these items, by key."""
    rows = TextPrediction.objects.filter(run=run, item__key__in=list(keys)).select_related("item", "run")
    return {row.item.key: row for row in rows}
