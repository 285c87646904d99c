"""One row of a trainer's POST: checked, with what is unknown kept as metadata."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from predictions.item_keys import content_key

KNOWN = frozenset(
    ("sample_index", "item_key", "prompt", "messages", "ground_truth", "prediction", "rendered_prompt", "token_counts",
     "latency_ms", "finish_reason", "scores", "metadata")
)  # fmt: skip
LARGEST_INDEX = 2**31 - 1
LONGEST_KEY = 120
MOST_CHARACTERS = 1_000_000
MOST_SCORES = 50
# Beyond it a number is as good as endless: its square has to fit into a float, and so has the sum of many.
LARGEST_NUMBER = 1e100
# What PostgreSQL cannot hold: NUL, and halves of surrogate pairs.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Answer:
    """What a model said to one question. `references` is None where the row says nothing of a truth."""

    index: int
    key: str
    has_own_key: bool
    sample_index: int
    prediction: str
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    rendered_prompt: str | None = None
    references: list[str] | None = None
    scores: dict[str, float] = field(default_factory=dict)
    token_counts: dict[str, Any] = field(default_factory=dict)
    latency_ms: float | None = None
    finish_reason: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


class Unfit(Exception):
    """Why a row cannot be stored."""


def parse_answer(index: int, given: Any) -> Answer | str:
    """The answer, or the reason why the row is refused."""
    try:
        return _parse(index, given)
    except Unfit as reason:
        return str(reason)
    except RecursionError:
        return "Objects and lists are nested too deeply."


def _parse(index: int, given: Any) -> Answer:
    if not isinstance(given, dict):
        raise Unfit("Must be an object.")
    prediction = given.get("prediction")
    if not isinstance(prediction, str):
        raise Unfit("prediction is missing." if prediction is None else "prediction must be a text.")
    if len(prediction) > MOST_CHARACTERS:
        raise Unfit(f"prediction is longer than {MOST_CHARACTERS:,} characters.")
    prompt, messages = _question(given)
    asked = messages if prompt is None else prompt
    metadata = _metadata(given)
    own_key = given.get("item_key")
    if own_key is not None and (not isinstance(own_key, str) or not 0 < len(own_key) <= LONGEST_KEY):
        raise Unfit(f"item_key must be a text of 1 to {LONGEST_KEY} characters.")
    if own_key is None and asked is None:
        raise Unfit("prompt or messages is missing.")
    return Answer(
        index=index,
        key=content_key(asked or "") if own_key is None else storable(own_key),
        has_own_key=own_key is not None,
        sample_index=_sample_index(given.get("sample_index")),
        prediction=storable(prediction),
        prompt=prompt,
        messages=messages,
        rendered_prompt=_rendered_prompt(given.get("rendered_prompt"), prompt, metadata),
        references=_references(given.get("ground_truth")),
        scores=_scores(given.get("scores")),
        token_counts=_object("token_counts", given.get("token_counts")),
        latency_ms=_number("latency_ms", given.get("latency_ms")),
        finish_reason=_short_text("finish_reason", given.get("finish_reason")),
        metadata=metadata,
    )


def _question(given: Mapping[str, Any]) -> tuple[str | None, list[dict[str, Any]] | None]:
    prompt, messages = given.get("prompt"), given.get("messages")
    if prompt is not None and not isinstance(prompt, str):
        raise Unfit("prompt must be a text; a conversation goes into messages.")
    if messages is not None and not is_conversation(messages):
        raise Unfit("messages must be a list of objects with role and content.")
    if prompt is not None and messages is not None:
        raise Unfit("Send either prompt or messages, not both.")
    return (None if prompt is None else storable(prompt)), (None if messages is None else storable_json(messages))


def _rendered_prompt(value: Any, prompt: str | None, metadata: dict[str, Any]) -> str | None:
    """What the model read, where that is another text than the prompt. Older clients send it among the metadata."""
    if value is None and isinstance(metadata.get("rendered_prompt"), str):
        value = metadata.pop("rendered_prompt")
    if value is not None and not isinstance(value, str):
        raise Unfit("rendered_prompt must be a text.")
    if value is not None and len(value) > MOST_CHARACTERS:
        raise Unfit(f"rendered_prompt is longer than {MOST_CHARACTERS:,} characters.")
    return None if value is None or value == prompt else storable(value)


def is_conversation(messages: Any) -> bool:
    return isinstance(messages, list) and bool(messages) and all(isinstance(one, dict) and "role" in one for one in messages)


def _sample_index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_INDEX:
        raise Unfit("sample_index is missing." if value is None else "sample_index must be a whole number from 0.")
    return value


def _references(value: Any) -> list[str] | None:
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Unfit("ground_truth must be a text, a list of texts, or null.")
    if any(len(text) > MOST_CHARACTERS for text in texts):
        raise Unfit(f"ground_truth is longer than {MOST_CHARACTERS:,} characters.")
    return [storable(text) for text in texts] or None


def _scores(value: Any) -> dict[str, float]:
    """Scores of the trainer's own; a null or a number that is none is left out, as not measured."""
    scores = _object("scores", value)
    if len(scores) > MOST_SCORES:
        raise Unfit(f"scores holds more than {MOST_SCORES} names.")
    kept = {}
    for name, number in scores.items():
        if number is None:
            continue
        if isinstance(number, bool):
            number = float(number)
        if not isinstance(number, (int, float)) or len(name) > 80:
            raise Unfit(f"scores.{name[:80]} must be a number.")
        if abs(number) <= LARGEST_NUMBER:
            kept[name] = float(number)
    return kept


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST_NUMBER:
        raise Unfit(f"{name} must be a number.")
    return float(value)


def _short_text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 40:
        raise Unfit(f"{name} must be a text of up to 40 characters.")
    return storable(value)


def _object(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unfit(f"{name} must be an object.")
    kept: dict[str, Any] = storable_json(value)
    return kept


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """The row's own, and whatever else it holds."""
    metadata = _object("metadata", given.get("metadata"))
    if given.keys() <= KNOWN:
        return metadata
    extra = {name: value for name, value in given.items() if name not in KNOWN}
    return {**storable_json(extra), **metadata}


def storable(text: str) -> str:
    """The text with what no database of texts can hold shown as U+FFFD."""
    if text.isascii() and "\x00" not in text:
        return text
    return UNSTORABLE.sub("\ufffd", text)


def storable_json(value: Any) -> Any:
    """The same for every text inside, and numbers that JSON has no word for as null."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(name)): storable_json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [storable_json(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
