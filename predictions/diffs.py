"""Differences of texts by word, for people who read them."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

# Beyond this a diff is neither read nor cheap.
MOST_WORDS = 4_000
WORDS = re.compile(r"\s+|[^\W_]+|[\W_]")


@dataclass(frozen=True)
class Piece:
    """A stretch of text: `same`, `insert` (only in the new one) or `delete` (only in the old one)."""

    kind: str
    text: str


def word_diff(old: str, new: str) -> list[Piece]:
    """What became of `old` in `new`. A single piece of kind `same` where they are too long to compare."""
    if old == new:
        return [Piece("same", new)]
    before, after = WORDS.findall(old), WORDS.findall(new)
    if len(before) + len(after) > MOST_WORDS:
        return [Piece("same", new)]
    pieces = []
    # autojunk would take frequent words for noise in texts of 200 words and more.
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", "".join(after[j1:j2])))
            continue
        if i2 > i1:
            pieces.append(Piece("delete", "".join(before[i1:i2])))
        if j2 > j1:
            pieces.append(Piece("insert", "".join(after[j1:j2])))
    return pieces
