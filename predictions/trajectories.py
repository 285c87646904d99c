"""One item across a training: when it was first solved, when lost again, and how often it flipped."""

from collections.abc import Sequence
from dataclasses import dataclass

from predictions.models import TextPrediction


def is_solved(row: TextPrediction) -> bool | None:
    """Whether the answer is right: its validators' word, else an exact match; None where there is nothing to hold it against."""
    if row.passed is not None:
        return row.passed
    return None if row.exact_match is None else row.exact_match == 1.0


@dataclass(frozen=True)
class Turn:
    """A change of outcome: at `row` the item was solved, or lost."""

    row: TextPrediction
    solved: bool


@dataclass(frozen=True)
class Story:
    """The turns of an item in order of training."""

    turns: list[Turn]
    flips: int
    is_solved_now: bool | None

    @property
    def in_words(self) -> str:
        """ "first solved in epoch 3, lost in 5, solved again in 6"; empty where there is nothing to hold answers against."""
        if self.is_solved_now is None:
            return ""
        if not self.turns:
            return "never solved so far"
        words = []
        for number, turn in enumerate(self.turns):
            verb = ("first solved" if number == 0 else "solved again") if turn.solved else "lost"
            words.append(f"{verb} in {'epoch ' if number == 0 else ''}{turn.row.run.epoch:g}")
        return ", ".join(words)


def tell(rows: Sequence[TextPrediction]) -> Story:
    """The story of one item's answers, given in order of training."""
    turns: list[Turn] = []
    last: bool | None = None
    for row in rows:
        solved = is_solved(row)
        if solved is None:
            continue
        if solved != bool(last):
            turns.append(Turn(row, solved))
        last = solved
    return Story(turns, max(0, len(turns) - 1), last)
