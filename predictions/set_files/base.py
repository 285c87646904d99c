"""What every format of set files reads into and writes from, and how it refuses. Pure."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from predictions import validators
from predictions.answers import LONGEST_KEY, MOST_CHARACTERS, is_conversation, storable, storable_json
from predictions.item_keys import content_key
from predictions.validators import IMAGE, TEXT

MOST_ITEMS = 10_000
MOST_READ = 5 * MOST_ITEMS  # repetitions, of which one is kept, counted
MOST_PROBLEMS = 20
MOST_REFERENCES = 100
MOST_TAGS, LONGEST_TAG = 30, 60
LARGEST_WEIGHT = 1e6


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and how to mend it. `row` counts from 1: the row's number in its file; 0 where none is meant."""

    reason: str
    remedy: str
    row: int = 0
    field: str = ""

    def __str__(self) -> str:
        place = ", ".join(part for part in (f"row {self.row}" if self.row else "", self.field) if part)
        return f"{place}: {self.reason}" if place else self.reason


class SetFileRefused(Exception):
    """The file cannot be taken: every problem that was found, up to a number."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems[:3]))
        self.problems = problems
        self.remedy = problems[0].remedy


class BadField(ValueError):
    """What is wrong with a field of a row, and how to mend it."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.name, self.remedy = name, remedy


@dataclass(frozen=True)
class ItemRecord:
    """An item as files hold it. Exactly one of prompt, messages and image is there; `image` names dataset, split, file_name."""

    key: str
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    image: dict[str, str] | None = None
    references: list[str] = field(default_factory=list)
    validators: list[dict[str, Any]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    weight: float = 1.0
    notes: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    row: int = field(default=0, compare=False)


@dataclass
class SetContent:
    """All that a version holds: its items in order, and what holds for every answer.

    `left_out` counts by type what the file says and a set cannot hold; `extra` names columns kept as metadata.
    """

    items: list[ItemRecord] = field(default_factory=list)
    validators: list[dict[str, Any]] = field(default_factory=list)
    pass_threshold: float | None = None
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    extra: Counter[str] = field(default_factory=Counter, compare=False)
    repeated: int = field(default=0, compare=False)

    def add(self, item: ItemRecord) -> None:
        """Raises SetFileRefused where there are far more than a set holds, before the rest is read."""
        self.items.append(item)
        if len(self.items) > MOST_READ:
            raise SetFileRefused([_too_many(f"more than {MOST_READ:,}")])


def _too_many(count: str) -> Problem:
    return Problem(f"The file holds {count} items; a set holds up to {MOST_ITEMS:,}.", "Split it.")


def no_files(pattern: str) -> list[tuple[str, str]]:
    """For uploads: nothing lies beside them."""
    return []


@dataclass
class Reading:
    """How to read: whether what has no counterpart may be left out, and how to come by files beside the one that is read."""

    skips_unknown: bool = False
    files: Callable[[str], list[tuple[str, str]]] = no_files
    problems: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)

    def refuse(self, reason: str, remedy: str, row: int = 0, field: str = "") -> None:
        """Note a problem; raises SetFileRefused when there are enough of them."""
        self.problems.append(Problem(reason, remedy, row, field))
        if len(self.problems) >= MOST_PROBLEMS:
            raise SetFileRefused(self.problems)

    def leave_out(self, kind: str, reason: str, row: int, field: str = "") -> None:
        """What a set cannot hold: counted where the reader was told to leave such things out, else a problem."""
        if self.skips_unknown:
            self.left_out[kind] += 1
        else:
            remedy = "Remove it, or choose to leave out what has no counterpart here; it is then counted."
            self.refuse(reason, remedy, row, field)

    def finish(self, content: SetContent) -> SetContent:
        content.items, content.repeated = self._without_repetitions(content.items)
        self._check_whole(content)
        if self.problems:
            raise SetFileRefused(self.problems)
        content.left_out, content.extra = self.left_out, self.extra
        return content

    def _without_repetitions(self, items: list[ItemRecord]) -> tuple[list[ItemRecord], int]:
        """The same item twice is one; two different items under one key are a problem."""
        first: dict[str, ItemRecord] = {}
        for item in items:
            known = first.setdefault(item.key, item)
            if known is not item and known != item:
                self.refuse(
                    f"The key {item.key!r} stands for another item in row {known.row}.",
                    "Give each item a key of its own, or ask each question once.",
                    item.row,
                    "key",
                )
        return list(first.values()), len(items) - len(first)

    def _check_whole(self, content: SetContent) -> None:
        if not content.items and not self.problems:
            self.refuse("The file holds no items.", "A set needs at least one question.")
        if len(content.items) > MOST_ITEMS:
            problem = _too_many(f"{len(content.items):,}")
            self.refuse(problem.reason, problem.remedy)
        for reason in validators.check(content.validators):
            self.refuse(reason, "Correct the validators of the set.", field="validators of the set")
        threshold = content.pass_threshold
        if threshold is not None and not 0 <= threshold <= 1:
            self.refuse(f"{threshold} is no share.", "Give a number from 0 to 1.", field="pass_threshold")


# --- Fields, one by one ------------------------------------------------------------------------------------------------------
def made_item(
    *,
    row: int,
    key: Any = None,
    prompt: Any = None,
    messages: Any = None,
    image: Any = None,
    references: Any = (),
    validators: Any = (),
    tags: Any = (),
    weight: Any = 1.0,
    notes: Any = "",
    metadata: Any = None,
) -> ItemRecord:
    """An item of these fields, each of them checked. Raises BadField."""
    image = None if image is None else checked_image(image)
    prompt, messages = _checked_question(prompt, messages, image)
    own_key = "" if key is None else storable(str(key)).strip()
    if len(own_key) > LONGEST_KEY:
        raise BadField("key", f"It is longer than {LONGEST_KEY} characters.", "Shorten it, or leave it out: one is made.")
    return ItemRecord(
        key=own_key or key_of(prompt, messages, image),
        prompt=prompt,
        messages=messages,
        image=image,
        references=checked_references(references),
        validators=checked_validators(validators, IMAGE if image else TEXT),
        tags=checked_tags(tags),
        weight=checked_weight(weight),
        notes=_checked_text("notes", notes),
        metadata=_checked_metadata(metadata),
        row=row,
    )


def key_of(prompt: str | None, messages: Any, image: dict[str, str] | None) -> str:
    """The key that an item has where none is given: of its content, or of where its image stands."""
    if image is not None:
        return content_key([{"image": [image["dataset"], image["split"], image["file_name"]]}])
    return content_key(messages if prompt is None else prompt)


def _checked_question(prompt: Any, messages: Any, image: Any) -> tuple[str | None, Any]:
    given = [name for name, value in (("prompt", prompt), ("messages", messages), ("image", image)) if value is not None]
    if len(given) != 1:
        reason = f"It has {' and '.join(given)}." if given else "It asks nothing."
        raise BadField("prompt", reason, "Give exactly one of prompt, messages and image.")
    if prompt is not None:
        if not isinstance(prompt, str):
            raise BadField("prompt", "It must be a text.", "A conversation goes into messages.")
        return _checked_text("prompt", prompt), None
    if messages is not None and not is_conversation(messages):
        raise BadField("messages", "It must be a list of objects with role and content.", "Correct it.")
    return None, None if messages is None else storable_json(messages)


def checked_image(value: Any) -> dict[str, str]:
    names = ("dataset", "split", "file_name")
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) and value[name] for name in names):
        raise BadField("image", "It must be an object with dataset, split and file_name.", "Name the image by these three.")
    return {name: storable(value[name]) for name in names}


def checked_references(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if texts is None:
        return []
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise BadField("references", "It must be a text or a list of texts.", "Put numbers into quotes.")
    if len(texts) > MOST_REFERENCES:
        raise BadField("references", f"There are {len(texts)}; an item has up to {MOST_REFERENCES}.", "Remove some.")
    return [_checked_text("references", text) for text in texts]


def checked_validators(value: Any, applies_to: str | None = None) -> list[dict[str, Any]]:
    """`applies_to` is what they must be for, text or image; None: either."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise BadField("validators", "It must be a list of objects.", 'Write [{"type": "contains", "value": "42"}].')
    found: list[dict[str, Any]] = storable_json(list(value))
    wrong = validators.check(found, applies_to)
    if wrong:
        raise BadField("validators", " ".join(wrong), "Correct the validators.")
    return found


def checked_tags(value: Any) -> list[str]:
    """In the order given, each once. No commas inside: where people type them, a comma parts them."""
    if isinstance(value, str):
        value = value.split(",")
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(tag, (str, int)) for tag in value):
        raise BadField("tags", "It must be a list of texts.", 'Write ["maths", "hard"].')
    tags = list(dict.fromkeys(tag for each in value if (tag := storable(str(each)).strip())))
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG or "," in tag for tag in tags):
        raise BadField("tags", "A tag is too long or holds a comma, or there are too many.",
                       f"Up to {MOST_TAGS} tags of up to {LONGEST_TAG} characters, without commas.")  # fmt: skip
    return tags


def checked_weight(value: Any) -> float:
    try:
        weight = 1.0 if value in (None, "") else float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if isinstance(value, bool) or not 0 < weight <= LARGEST_WEIGHT:
        raise BadField("weight", f"{value!r} is no weight.", f"Give a number above 0, up to {LARGEST_WEIGHT:,.0f}.")
    return weight


def checked_threshold(value: Any) -> float | None:
    if value in (None, ""):
        return None
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if isinstance(value, bool) or not 0 <= share <= 1:
        raise BadField("pass_threshold", f"{value!r} is no share.", "Give a number from 0 to 1.")
    return share


def _checked_text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadField(name, "It must be a text.", "Put it into quotes.")
    if len(value) > MOST_CHARACTERS:
        raise BadField(name, f"It is longer than {MOST_CHARACTERS:,} characters.", "Shorten it.")
    return storable(value)


def _checked_metadata(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadField("metadata", "It must be an object.", 'Write {"source": "support"}.')
    kept: dict[str, Any] = storable_json(value)
    return kept
