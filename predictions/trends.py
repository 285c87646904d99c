"""How a job's scores move over its epochs, from the totals of its runs: the cost depends on epochs, not on rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from predictions.models import PredictionRun, TrainingJob
from predictions.scoring import SCORE_NAMES, Definition
from predictions.totals import Totals

RATES = {
    "pass_rate": Definition("Pass rate", "Share of the answers that satisfy their validators."),
    "weighted_pass_rate": Definition(
        "Pass rate, weighted", "The pass rate, where each item counts as much as its weight says."
    ),
}


@dataclass(frozen=True)
class Point:
    """All answers of one epoch and step, of every set that was asked then."""

    epoch: float
    step: int
    totals: Totals


def points(job: TrainingJob, prediction_set: str = "") -> list[Point]:
    """In order of training. With `prediction_set` (a name, or name@version) only its answers count."""
    runs = PredictionRun.objects.of_training(job)
    if prediction_set:
        name, _, version = prediction_set.partition("@")
        runs = runs.filter(set_version__prediction_set__name=name)
        runs = runs.filter(set_version__number=version) if version.isdecimal() else runs
    found: dict[tuple[float, int], Totals] = {}
    for epoch, step, stored in runs.values_list("epoch", "step", "totals"):
        place = (epoch or 0.0, step or 0)
        if not stored:
            continue
        if place in found:
            found[place].merge(Totals.from_json(stored))
        else:
            found[place] = Totals.from_json(stored)
    return [Point(epoch, step, totals) for (epoch, step), totals in found.items()]


def by_epoch(found: Iterable[Point]) -> dict[float, list[Point]]:
    epochs: dict[float, list[Point]] = {}
    for point in found:
        epochs.setdefault(point.epoch, []).append(point)
    return epochs


def as_row(point: Point) -> dict[str, Any]:
    """A point as the API writes it; null for what is not defined."""
    totals = point.totals
    error_rate = totals.scores.get("char_error_rate")
    return {
        "epoch": point.epoch,
        "step": point.step,
        "sample_count": totals.rows,
        **{f"avg_{name}": totals.mean(name) for name in SCORE_NAMES},
        "min_char_error_rate": error_rate.least if error_rate else None,
        "max_char_error_rate": error_rate.greatest if error_rate else None,
        "micro_char_error_rate": totals.micro_error_rate,
        "bleu": totals.corpus_bleu,
        "validation_pass_rate": totals.pass_rate,
        "weighted_pass_rate": totals.weighted_pass_rate,
        "custom_scores": {name: totals.mean(name) for name in custom_names([point])},
    }


def rates(found: Iterable[Point]) -> list[str]:
    """The rates that say something: the weighted one where weights make a difference."""
    judged = [point.totals for point in found if point.totals.validated]
    differ = any(abs((each.weighted_pass_rate or 0.0) - (each.pass_rate or 0.0)) > 1e-9 for each in judged)
    return [*(["pass_rate"] if judged else []), *(["weighted_pass_rate"] if differ else [])]


def custom_names(found: Iterable[Point]) -> list[str]:
    """Scores that the trainer sent, in alphabetical order."""
    return sorted({name for point in found for name in point.totals.scores} - set(SCORE_NAMES))


def overall_improvement(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The fall of the mean character error rate from the first epoch to the last, in percent of the first.

    None below two epochs with scores, and where the first has no errors.
    """
    rates = [row["avg_char_error_rate"] for row in rows if row["avg_char_error_rate"] is not None]
    if len(rates) < 2 or not rates[0]:
        return None
    return float((rates[0] - rates[-1]) / rates[0] * 100)
