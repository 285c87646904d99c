"""Whether the questions of a set stand in training data: word for word, or alike once both are normalised."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from predictions.models import PredictionSetItem, PredictionSetVersion
from predictions.prediction_sets import SetRefused
from predictions.rows import Question, RowsUnreadable, question_of, read_rows
from predictions.scoring import NORMALISER, normalised

MOST_EXAMPLES = 20
SHOWN = 300
# Kind: what it says, strongest first.
KINDS = {
    "exact_pair": "Prompt and reference, word for word",
    "normalised_pair": "Prompt and reference, normalised",
    "exact_prompt": "Prompt, word for word",
    "normalised_prompt": "Prompt, normalised",
}


@dataclass(frozen=True)
class Example:
    """A row of the training data (counted from 1) that holds an item; `kind` is the strongest that fits."""

    kind: str
    row: int
    key: str
    sample_index: int
    asked: str


@dataclass
class Leakage:
    """What was found. `items` counts the set's items by kind, `rows` the rows of the data; a match counts for every kind it fits."""

    version: str
    normaliser: str = NORMALISER
    item_count: int = 0
    image_items: int = 0
    row_count: int = 0
    unreadable_rows: int = 0
    items: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    examples: list[Example] = field(default_factory=list)

    @property
    def leaked(self) -> int:
        """Items whose prompt stands in the data in any form."""
        return self.items["normalised_prompt"]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "leaked": self.leaked}


def check_file(version: PredictionSetVersion, path: Path) -> Leakage:
    """The version against a JSON array or JSON Lines file, also .gz. Raises SetRefused where it cannot be read."""
    try:
        return check_rows(version, read_rows(path))
    except RowsUnreadable as error:
        reason = str(error).replace(str(path), path.name)
        raise SetRefused(reason, "Give a JSON array or JSON Lines file, also .gz, as the client draws prompts from.") from None


def check_rows(version: PredictionSetVersion, rows: Iterable[Any]) -> Leakage:
    """One pass over rows of any usual shape, which need not fit into memory. Those of no known shape are counted."""
    return check_questions(version, (question_in(row) for row in rows))


def question_in(row: Any) -> Question | None:
    try:
        return question_of(row)
    except (ValueError, TypeError):
        return None


def check_questions(version: PredictionSetVersion, questions: Iterable[Question | None]) -> Leakage:
    """The questions of rows, in their order; None stands for a row of no known shape."""
    items = list(version.items.order_by("sample_index", "pk"))
    found = Leakage(str(version), item_count=len(items), image_items=sum(_is_image(item) for item in items))
    marks = _Marks([item for item in items if not _is_image(item)])
    hit: dict[str, set[int]] = {kind: set() for kind in KINDS}
    for number, asked in enumerate(questions, start=1):
        found.row_count = number
        if asked is None:
            found.unreadable_rows += 1
            continue
        _note(number, marks.matches(asked.prompt, asked.messages, asked.references), hit, found)
    found.items = {kind: len(pks) for kind, pks in hit.items()}
    return found


def _is_image(item: PredictionSetItem) -> bool:
    return item.prompt is None and item.messages is None


def _note(number: int, matches: dict[str, list["_Group"]], hit: dict[str, set[int]], found: Leakage) -> None:
    """Count the row; what was met by an earlier one is passed over, so that a common question costs no more than others."""
    told: set[int] = set()
    for kind in KINDS:
        groups = matches.get(kind, [])
        found.rows[kind] += bool(groups)
        for item in _items_of(group for group in groups if group.is_new):
            is_new = item.pk not in hit["normalised_prompt"]
            if is_new and item.pk not in told and len(found.examples) < MOST_EXAMPLES:
                told.add(item.pk)
                found.examples.append(Example(kind, number, item.key, item.sample_index, item.asked[:SHOWN]))
    for kind, groups in matches.items():
        hit[kind].update(item.pk for item in _items_of(group for group in groups if group.is_new))
    for group in chain.from_iterable(matches.values()):
        group.is_new = False


@dataclass
class _Group:
    """Items that ask the same, of which some may have a reference in common. `is_new` until a row has met them."""

    items: list[PredictionSetItem] = field(default_factory=list)
    is_new: bool = True
    by_reference: dict[str, "_Group"] | None = None

    def with_reference(self, texts: Iterable[str], read: Callable[[str], str]) -> list["_Group"]:
        """Those with one of these texts, `read` as the references are to be."""
        if self.by_reference is None:
            self.by_reference = {}
            for item in self.items:
                for text in {read(reference) for reference in item.references}:
                    self.by_reference.setdefault(text, _Group()).items.append(item)
        wanted = {read(text) for text in texts}
        return [self.by_reference[text] for text in wanted if text in self.by_reference]


def _items_of(groups: Iterable[_Group]) -> Iterator[PredictionSetItem]:
    for group in groups:
        yield from group.items


class _Marks:
    """The items by digests of their prompts, as they stand and normalised; most rows of the data meet none of them."""

    def __init__(self, items: Sequence[PredictionSetItem]) -> None:
        self.exact: dict[bytes, _Group] = {}
        self.normal: dict[bytes, _Group] = {}
        for item in items:
            self.exact.setdefault(_digest(_plain(item.prompt, item.messages)), _Group()).items.append(item)
            self.normal.setdefault(_digest(normalised(_words(item.prompt, item.messages))), _Group()).items.append(item)

    def matches(
        self, prompt: str | None, messages: list[dict[str, Any]] | None, references: Sequence[str]
    ) -> dict[str, list[_Group]]:
        near = self.normal.get(_digest(normalised(_words(prompt, messages))))
        if near is None:
            return {}
        same = self.exact.get(_digest(_plain(prompt, messages)), _Group())
        found = {
            "normalised_prompt": [near],
            "exact_prompt": [same] if same.items else [],
            "exact_pair": same.with_reference(references, str),
            "normalised_pair": near.with_reference(references, normalised),
        }
        return {kind: groups for kind, groups in found.items() if groups}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _plain(prompt: str | None, messages: Any) -> str:
    """A prompt and a conversation of one user's message ask the same."""
    if prompt is None and isinstance(messages, list) and len(messages) == 1 and isinstance(messages[0].get("content"), str):
        return str(messages[0]["content"])
    return prompt if prompt is not None else json.dumps(messages, sort_keys=True, ensure_ascii=False)


def _words(prompt: str | None, messages: Any) -> str:
    """What was asked, without the names of roles."""
    if prompt is not None:
        return prompt
    contents = [message.get("content") for message in messages or []]
    return "\n".join(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in contents)
