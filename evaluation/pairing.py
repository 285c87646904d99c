"""Two runs over the items that they share: their scores side by side, and what only one of them answered."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.matching import align
from evaluation.metrics.columns import Floats, Ints
from evaluation.scores import CONFIDENCE, METRICS, Metric, Scores, metric_of, scores_of
from predictions.models import PredictionRun

Step = Callable[[str], None]


@dataclass(frozen=True)
class Pairing:
    """Shared items in the order of the baseline. Values by metric, NaN where not defined; `tags` gives positions by tag.

    Keys are item keys of texts, ids of samples of images.
    """

    keys: Sequence[Any]
    before: Mapping[str, Floats]
    after: Mapping[str, Floats]
    weights: Floats
    tags: Mapping[str, Ints]
    only_baseline: Sequence[Any]
    only_candidate: Sequence[Any]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def metrics(self) -> list[Metric]:
        """Those of which both sides have a value, in the order of the pages."""
        known = [name for name in METRICS if name in self.before and name in self.after]
        return [metric_of(name) for name in [*known, *sorted((self.before.keys() & self.after.keys()) - METRICS.keys())]]

    def sides(self, metric: str) -> tuple[Floats, Floats]:
        nothing = np.full(len(self), np.nan)
        return self.before.get(metric, nothing), self.after.get(metric, nothing)

    def gains(self, metric: Metric) -> Floats:
        """By how much each item got better, whatever the score's direction; NaN where a side has no value."""
        before, after = self.sides(metric.name)
        return before - after if metric.lower_is_better else after - before

    def of_tag(self, tag: str) -> Ints:
        """Positions of the items with this tag; of all without one."""
        return self.tags.get(tag, np.empty(0, np.int64)) if tag else np.arange(len(self))

    def to_bytes(self) -> bytes:
        """For keeping what took long to read; `from_bytes` reads it back."""
        names = {"before": list(self.before), "after": list(self.after), "tags": list(self.tags)}
        words = names | {name: list(getattr(self, name)) for name in ("keys", "only_baseline", "only_candidate")}
        arrays = {"weights": self.weights, "words": np.frombuffer(json.dumps(words).encode(), np.uint8)}
        for part in names:
            arrays |= {f"{part}{place}": column for place, column in enumerate(getattr(self, part).values())}
        np.savez_compressed(file := io.BytesIO(), **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Pairing":
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            words: dict[str, Any] = json.loads(arrays["words"].tobytes())
            for part in ("before", "after", "tags"):
                words[part] = {name: arrays[f"{part}{place}"] for place, name in enumerate(words[part])}
            return cls(weights=arrays["weights"], **words)


def pair(
    baseline: PredictionRun,
    candidate: PredictionRun,
    *,
    confidence: float = CONFIDENCE,
    set_version: int | None = None,
    step: Step = lambda stage: None,
) -> Pairing:
    """Read both and match them: texts by item key, images of one dataset by sample. `step` is told what is being done."""
    if baseline.dataset_id != candidate.dataset_id:
        return _strangers(baseline, candidate)
    step(f"Reading {baseline.name}")
    first = scores_of(baseline, confidence, set_version)
    step(f"Reading {candidate.name}")
    return _paired(first, scores_of(candidate, confidence, set_version))


def _paired(first: Scores, second: Scores) -> Pairing:
    found = align(first.keys, second.keys)
    keys = [first.keys[place] for place in found.first.tolist()]
    return Pairing(
        keys,
        {name: column[found.first] for name, column in first.values.items()},
        {name: column[found.second] for name, column in second.values.items()},
        first.weights[found.first],
        _places_by_tag(keys, first.tags),
        [first.keys[place] for place in found.only_first.tolist()],
        [second.keys[place] for place in found.only_second.tolist()],
    )


def _places_by_tag(keys: Sequence[Any], tags: Mapping[Any, list[str]]) -> dict[str, Ints]:
    places: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        for tag in tags.get(key, ()):
            places.setdefault(tag, []).append(place)
    return {tag: np.array(places[tag], np.int64) for tag in sorted(places)}


def _strangers(baseline: PredictionRun, candidate: PredictionRun) -> Pairing:
    """Texts and images, or images of two datasets: what is a key here is none there."""
    nothing = np.empty(0)
    return Pairing([], {}, {}, nothing, {}, range(size_of(baseline)), range(size_of(candidate)))


def size_of(run: PredictionRun) -> int:
    """The items of a run: its images, or its answers."""
    if run.dataset is None:
        return run.prediction_count
    return run.split.sample_count if run.split else run.dataset.sample_count
