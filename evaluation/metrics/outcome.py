"""What a test run comes to, whatever its task: figures with reasons for those that are missing, and every image's outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.metrics.columns import Flags, Floats, Ints
from evaluation.metrics.match_table import MatchTable


@dataclass(frozen=True)
class ImageColumns:
    """One row per image, in the scene's order. NaN and -1 stand for nothing; lists hold positions of categories and kinds of error."""

    is_correct: Flags
    confidence: Floats
    true_categories: Sequence[Sequence[int]]
    predicted_categories: Sequence[Sequence[int]]
    errors: Sequence[Sequence[int]]
    true_positives: Ints
    false_positives: Ints
    false_negatives: Ints
    f1: Floats
    iou: Floats
    oks: Floats
    loss: Floats
    top: Sequence[Any] | None = None


@dataclass(frozen=True)
class Slices:
    """Images by position, under the name of what they have in common: {"objects per image": {"none": [...]}}."""

    groups: Mapping[str, Mapping[str, Ints]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """`metrics` by name, None where undefined, with the reason in `undefined`; `warnings` are what to know beside them, in words.

    `intervals` are 95 % intervals by the figure's name. `replicates` are figures with one part of the images left out in turn: two
    runs on the same images leave out the same parts, so that their difference can be told with an interval.
    """

    primary: str
    metrics: dict[str, float | None]
    undefined: dict[str, str]
    warnings: list[str]
    per_class: list[dict[str, Any]]
    confusion: Ints
    images: ImageColumns
    curves: dict[str, Any] = field(default_factory=dict)
    slices: list[dict[str, Any]] = field(default_factory=list)
    loss: float | None = None
    table: MatchTable | None = None
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    replicates: dict[str, list[float | None]] = field(default_factory=dict)
