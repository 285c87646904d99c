"""What validators are made of: the claim they look at, the kinds there are, and checks of what people write into one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets.shapes import Box
from predictions.scoring import UNSCORED, Scores

TEXT, IMAGE = "text", "image"
LONGEST_TEXT = 20_000
LONGEST_SHOWN = 120


class Unrunnable(Exception):
    """Why a validator cannot tell: its result is an error, in these words."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model said to a question in words, and what is known of it."""

    prediction: str
    scores: Scores = UNSCORED
    custom_scores: Mapping[str, float] = field(default_factory=dict)
    latency_ms: float | None = None
    finish_reason: str = ""


@dataclass(frozen=True, slots=True)
class SeenObject:
    """A predicted or true object: its class by name, its box (COCO xywh, pixels) where it has one. True ones have confidence 1."""

    category: str
    box: Box | None = None
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class ImageClaim:
    """What a model saw in an image, and what is there; `true` leaves out crowd regions."""

    predicted: tuple[SeenObject, ...]
    true: tuple[SeenObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it holds, what was found in words (shown where the validator fails), and figures."""

    holds: bool
    found: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


Judge = Callable[[Any, Mapping[str, Any], float], Verdict]
Check = Callable[[Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Kind:
    """A type of validator. `judge` takes the claim, the validator and the seconds it may take, which only timed kinds draw on.

    `check` says what is wrong with a validator, or None. `keys` are those it may have besides type, value, not and weight.
    """

    meaning: str
    judge: Judge
    check: Check
    keys: frozenset[str] = frozenset()
    applies_to: str = TEXT
    is_timed: bool = False
    example: Any = None


# --- Checks of values ------------------------------------------------------------------------------------------------
def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e100


def needs_text(given: Mapping[str, Any]) -> str | None:
    return None if _is_text(given.get("value")) else f"needs a value, a text of 1 to {LONGEST_TEXT:,} characters."


def may_be_empty(given: Mapping[str, Any]) -> str | None:
    value = given.get("value")
    return None if value == "" or _is_text(value) else f"needs a value, a text of up to {LONGEST_TEXT:,} characters."


def needs_texts(given: Mapping[str, Any]) -> str | None:
    value = given.get("value")
    fits = isinstance(value, list) and 0 < len(value) <= 100 and all(_is_text(one) for one in value)
    return None if fits else "needs a value, a list of 1 to 100 texts."


def needs_nothing(given: Mapping[str, Any]) -> str | None:
    return None if given.get("value") is None else "takes no value."


def wrong_number(given: Mapping[str, Any], name: str, least: float, most: float, *, whole: bool = False) -> str | None:
    """What is wrong with an optional number of a validator."""
    value = given.get(name)
    if value is None or (is_number(value) and least <= value <= most and not (whole and value != int(value))):
        return None
    return f"{name} must be a {'whole ' if whole else ''}number from {least:,g} to {most:,g}."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT


def quoted(value: Any) -> str:
    """A text as messages show it."""
    text = str(value)
    return f"'{text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + '…'}'"
