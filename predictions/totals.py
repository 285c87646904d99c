"""The totals of a run: sums of its scores from which means, intervals and corpus scores follow, and how they add up.

Kept as JSON in `PredictionRun.totals`:
`rows`; `scores`: by name [count, sum, sum of squares, least, greatest]; `edits` and `reference_length` in characters, for the
micro-averaged error rate; `bleu`: sacrebleu's statistics, whole numbers that add up; `passed` of `validated`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from predictions.scoring import SCORE_NAMES, Scores

# Two-sided 95 %.
Z = 1.959963984540054
_bleu = BLEU()


@dataclass
class Moments:
    """Of one score over many rows."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.squares += value * value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)

    def merge(self, other: "Moments") -> None:
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The mean's 95 % interval under the normal approximation; None below two rows."""
        if self.count < 2:
            return None
        mean = self.total / self.count
        variance = max(0.0, (self.squares - self.count * mean * mean) / (self.count - 1))
        half = Z * math.sqrt(variance / self.count)
        return mean - half, mean + half


@dataclass
class Totals:
    rows: int = 0
    scores: dict[str, Moments] = field(default_factory=dict)
    edits: int = 0
    reference_length: int = 0
    bleu: list[int] = field(default_factory=list)
    passed: int = 0
    validated: int = 0

    def add(self, scores: Scores, custom: Mapping[str, float] | None, passed: bool | None) -> None:
        """One row. Its BLEU statistics come in separately, as they are made for many rows at once."""
        self.rows += 1
        for name in SCORE_NAMES:
            self.add_score(name, getattr(scores, name))
        for name, value in (custom or {}).items():
            self.add_score(name, value)
        self.edits += scores.char_edits or 0
        self.reference_length += scores.reference_length or 0
        if passed is not None:
            self.validated += 1
            self.passed += passed

    def add_score(self, name: str, value: float | None) -> None:
        if value is not None:
            self.scores.setdefault(name, Moments()).add(value)

    def add_bleu(self, statistics: Sequence[int], sign: int = 1) -> None:
        if statistics:
            self.bleu = [a + sign * b for a, b in zip(self.bleu or [0] * len(statistics), statistics, strict=True)]

    def merge(self, other: "Totals") -> None:
        self.rows += other.rows
        for name, moments in other.scores.items():
            self.scores.setdefault(name, Moments()).merge(moments)
        self.edits += other.edits
        self.reference_length += other.reference_length
        self.add_bleu(other.bleu)
        self.passed += other.passed
        self.validated += other.validated

    def mean(self, name: str) -> float | None:
        moments = self.scores.get(name)
        return moments.mean if moments else None

    @property
    def pass_rate(self) -> float | None:
        return self.passed / self.validated if self.validated else None

    @property
    def micro_error_rate(self) -> float | None:
        """All edits / all characters of references; not capped, unlike the mean of the rows' rates."""
        return self.edits / self.reference_length if self.reference_length else None

    @property
    def corpus_bleu(self) -> float | None:
        """0 to 100 as `bleu_signature()` says; None without references."""
        return float(_bleu._compute_score_from_stats(self.bleu).score) if self.bleu else None

    def as_json(self) -> dict[str, Any]:
        scores = {name: [m.count, m.total, m.squares, m.least, m.greatest] for name, m in self.scores.items() if m.count}
        whole = {"rows": self.rows, "edits": self.edits, "reference_length": self.reference_length, "bleu": self.bleu}
        return {**whole, "scores": scores, "passed": self.passed, "validated": self.validated}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Totals":
        known = dict(stored)
        scores = {name: Moments(*values) for name, values in known.pop("scores", {}).items()}
        return cls(**known, scores=scores)


def bleu_statistics(pairs: Iterable[tuple[str, Sequence[str]]]) -> list[list[int]]:
    """sacrebleu's statistics of each (prediction, references) for corpus BLEU; empty where there is no reference."""
    return [_bleu_statistics(prediction, references) if references else [] for prediction, references in pairs]


def _bleu_statistics(prediction: str, references: Sequence[str]) -> list[int]:
    return [int(n) for n in _bleu._extract_corpus_statistics([prediction], [[text] for text in references])[0]]


@cache
def bleu_signature() -> str:
    """How the figure was made, as sacrebleu signs it: it knows the number of references once it has scored something."""
    metric = BLEU()
    metric.corpus_score(["any"], [["any"]])
    return str(metric.get_signature())
