"""What rules and gates measure on a run: its name in words, which way is better, and its value from the run's totals."""

from dataclasses import dataclass

from predictions.scoring import DEFINITIONS
from predictions.totals import Totals

PASS_RATE, BLEU, CUSTOM = "passed", "bleu", "custom:"
# Differences of adding up; smaller ones are none.
EQUAL_WITHIN = 1e-9


@dataclass(frozen=True)
class Measure:
    """`aim` is the best value where that lies in the middle, as for the length ratio."""

    name: str
    label: str
    lower_is_better: bool = False
    decimals: int = 3
    aim: float | None = None

    def worse_by(self, value: float, than: float) -> float:
        """How much worse than the other; negative where it is better."""
        if self.aim is not None:
            return abs(value - self.aim) - abs(than - self.aim)
        return value - than if self.lower_is_better else than - value

    def value(self, totals: Totals) -> float | None:
        """None where it is not defined, as without references."""
        if self.name == PASS_RATE:
            return totals.weighted_pass_rate
        if self.name == BLEU:
            return totals.corpus_bleu
        return totals.mean(self.name.removeprefix(CUSTOM))

    def count(self, totals: Totals) -> int:
        """How many rows it is taken over."""
        if self.name == PASS_RATE:
            return totals.validated
        moments = totals.scores.get(self.name.removeprefix(CUSTOM))
        return totals.rows if self.name == BLEU else moments.count if moments else 0

    def shown(self, value: float) -> str:
        return f"{value:.{self.decimals}f}"


MEASURES = {
    name: Measure(
        name, definition.label, definition.lower_is_better, definition.decimals, 1.0 if name == "length_ratio" else None
    )
    for name, definition in DEFINITIONS.items()
} | {PASS_RATE: Measure(PASS_RATE, "Pass rate"), BLEU: Measure(BLEU, "Corpus BLEU", decimals=1)}


def measure(name: str, *, lower_is_better: bool = False) -> Measure:
    """The measure of that name. Which way a score of the trainer's own goes is the caller's to say. Raises KeyError."""
    if name.startswith(CUSTOM) and name != CUSTOM:
        return Measure(name, name.removeprefix(CUSTOM), lower_is_better)
    return MEASURES[name]


def is_measure(name: str) -> bool:
    return name in MEASURES or (name.startswith(CUSTOM) and name != CUSTOM)
