"""What became of every object between two test runs on the same truth: fixed, broken, right in both, wrong in both."""

from dataclasses import dataclass

import numpy as np

from evaluation.metrics.columns import Ints
from evaluation.metrics.match_table import MatchTable

KINDS = ("fixed", "broken", "both_right", "both_wrong")


@dataclass(frozen=True)
class ObjectChanges:
    """Objects that both runs were held against: their rows in either table, their category, and a place in KINDS."""

    baseline: Ints
    candidate: Ints
    categories: Ints
    kinds: Ints

    def counts(self) -> dict[str, int]:
        return dict(zip(KINDS, np.bincount(self.kinds, minlength=len(KINDS)).tolist(), strict=True))

    def counts_by_category(self, categories: int) -> Ints:
        """[categories, kinds]"""
        found = np.zeros((categories, len(KINDS)), np.int64)
        np.add.at(found, (self.categories, self.kinds), 1)
        return found

    def of(self, kind: str, category: int | None = None) -> Ints:
        """Positions among the shared objects."""
        chosen = self.kinds == KINDS.index(kind)
        return np.flatnonzero(chosen if category is None else chosen & (self.categories == category))


def changes(
    baseline: MatchTable, candidate: MatchTable, baseline_confidence: float, candidate_confidence: float
) -> ObjectChanges:
    """Objects that count in both runs (no crowds), each run at a confidence of its own."""
    _, first, second = np.intersect1d(baseline.object_ids, candidate.object_ids, return_indices=True)
    counted = ~baseline.left_out[first] & ~candidate.left_out[second]
    first, second = first[counted], second[counted]
    before = baseline.found(baseline_confidence)[first]
    after = candidate.found(candidate_confidence)[second]
    kinds = np.select([~before & after, before & ~after, before & after], [0, 1, 2], 3)
    return ObjectChanges(first, second, candidate.object_categories[second], kinds)
