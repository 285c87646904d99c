"""The totals of a run: sums of its scores from which means, intervals and corpus scores follow, and how they add up.

Kept as JSON in `PredictionRun.totals`:
`rows`; `scores`: by name [count, sum, sum of squares, least, greatest]; `edits` and `reference_length` in characters, for the
micro-averaged error rate; `bleu`: sacrebleu's statistics, whole numbers that add up; `passed` of `validated`, as counts and
as sums of the items' weights (`passed_weight`, `validated_weight`).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from predictions.scoring import SCORE_NAMES, Scores

# Two-sided 95 %.
Z = 1.959963984540054
ORDERS = 4
PLAIN = re.compile(r"[A-Za-z0-9 ]*")
_bleu = BLEU()
_tokenize = Tokenizer13a()


@dataclass
class Moments:
    """Of one score over many rows."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    def add_all(self, values: Sequence[float]) -> None:
        self.merge(Moments(len(values), sum(values), sum(value * value for value in values), min(values), max(values)))

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
    passed_weight: float = 0.0
    validated_weight: float = 0.0

    def add_rows(
        self, rows: Sequence[tuple[Scores, Mapping[str, float] | None, bool | None]], weights: Sequence[float] = ()
    ) -> None:
        """Each row's scores, its custom scores and whether it passed; its item's weight, 1 unless given.

        BLEU statistics come in separately.
        """
        self.rows += len(rows)
        for name in SCORE_NAMES:
            self.add_score(name, [value for scores, _, _ in rows if (value := getattr(scores, name)) is not None])
        custom: dict[str, list[float]] = {}
        for _, given, _ in rows:
            for name, value in (given or {}).items():
                custom.setdefault(name, []).append(value)
        for name in sorted(custom.keys() - SCORE_NAMES):  # what is measured here is not the trainer's to say
            self.add_score(name, custom[name])
        self.edits += sum(scores.char_edits or 0 for scores, _, _ in rows)
        self.reference_length += sum(scores.reference_length or 0 for scores, _, _ in rows)
        outcomes = [passed for _, _, passed in rows if passed is not None]
        self.validated += len(outcomes)
        self.passed += sum(outcomes)
        if outcomes:
            self._add_weights([passed for _, _, passed in rows], weights or [1.0] * len(rows))

    def _add_weights(self, outcomes: Sequence[bool | None], weights: Sequence[float]) -> None:
        weighed = [(passed, weight) for passed, weight in zip(outcomes, weights, strict=True) if passed is not None]
        self.validated_weight += sum(weight for _, weight in weighed)
        self.passed_weight += sum(weight for passed, weight in weighed if passed)

    def add_score(self, name: str, values: Sequence[float]) -> None:
        if values:
            self.scores.setdefault(name, Moments()).add_all(values)

    def add_bleu(self, statistics: Iterable[Sequence[int]], sign: int = 1) -> None:
        """Of many rows; with sign -1 they are taken back. Rows without references have none."""
        sums = [sum(column) for column in zip(*(each for each in statistics if each), strict=True)]
        if sums:
            added = [mine + sign * theirs for mine, theirs in zip(self.bleu or [0] * len(sums), sums, strict=True)]
            self.bleu = added if any(added) else []

    def merge(self, other: "Totals") -> None:
        self.rows += other.rows
        for name, moments in other.scores.items():
            self.scores.setdefault(name, Moments()).merge(moments)
        self.edits += other.edits
        self.reference_length += other.reference_length
        self.add_bleu([other.bleu])
        self.passed += other.passed
        self.validated += other.validated
        self.passed_weight += other.passed_weight
        self.validated_weight += other.validated_weight

    def mean(self, name: str) -> float | None:
        moments = self.scores.get(name)
        return moments.mean if moments else None

    @property
    def pass_rate(self) -> float | None:
        return self.passed / self.validated if self.validated else None

    @property
    def weighted_pass_rate(self) -> float | None:
        """Every item counts as much as its weight says."""
        return self.passed_weight / self.validated_weight if self.validated_weight else None

    @property
    def pass_interval(self) -> tuple[float, float] | None:
        """The pass rate's 95 % interval after Wilson."""
        return wilson(self.passed, self.validated) if self.validated else None

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
        counts = {"passed": self.passed, "validated": self.validated}
        weights = {"passed_weight": self.passed_weight, "validated_weight": self.validated_weight}
        return {**whole, "scores": scores, **counts, **weights}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Totals":
        # Totals from before items had weights: each weighed 1.
        known = {"passed_weight": stored.get("passed", 0), "validated_weight": stored.get("validated", 0), **stored}
        scores = {name: Moments(*values) for name, values in known.pop("scores", {}).items()}
        return cls(**known, scores=scores)


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share after Wilson (1927); it never leaves 0..1."""
    share, spread = count / total, Z * Z / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def bleu_statistics(pairs: Iterable[tuple[str, Sequence[str]]]) -> list[list[int]]:
    """sacrebleu's statistics of each (prediction, references) for corpus BLEU; empty where there is no reference.

    [prediction's length, reference's length, matches of 1- to 4-grams, n-grams of the prediction], lengths in tokens.
    """
    return [_statistics(prediction, references) if references else [] for prediction, references in pairs]


def _statistics(prediction: str, references: Sequence[str]) -> list[int]:
    said = _word_ngrams(prediction)
    true = [_counted_ngrams(text) for text in references]
    length = len(said[0])
    # Of several references the one nearest in length counts, the shorter of two as near.
    nearest = min((each[0].total() for each in true), key=lambda other: (abs(other - length), other))
    matches = [_matches(said[order], [each[order] for each in true]) for order in range(ORDERS)]
    return [length, nearest, *matches, *(len(grams) for grams in said)]


def _matches(said: list[Any], true: list["Counter[Any]"]) -> int:
    """N-grams of the prediction that a reference has, each as often as the reference that has it most often."""
    known = true[0].keys() if len(true) == 1 else set().union(*true)
    shared = [gram for gram in said if gram in known]
    if len(set(shared)) == len(shared):
        return len(shared)
    return sum(min(count, max(each[gram] for each in true)) for gram, count in Counter(shared).items())


def _word_ngrams(text: str) -> list[list[Any]]:
    """The n-grams of orders 1 to 4, in order; words are sacrebleu's default tokens."""
    stripped = text.rstrip()
    # Of letters, digits and blanks alone the tokens are the words; that is most of what models say, and far faster.
    words = stripped.split() if PLAIN.fullmatch(stripped) else _tokenize(stripped).split()
    return [words, *(list(zip(*(words[start:] for start in range(order)), strict=False)) for order in range(2, ORDERS + 1))]


@lru_cache(maxsize=2048)
def _counted_ngrams(text: str) -> list["Counter[Any]"]:
    """Of a reference, which comes again every epoch."""
    return [Counter(grams) for grams in _word_ngrams(text)]


@cache
def bleu_signature() -> str:
    """How the figure was made, as sacrebleu signs it: it knows the number of references once it has scored something."""
    metric = BLEU()
    metric.corpus_score(["any"], [["any"]])
    return str(metric.get_signature())
