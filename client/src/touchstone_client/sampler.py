"""Drawing the questions: a fixed seed draws the same prompts from the same data, wherever and however often."""

import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from touchstone_client.errors import TouchstoneError
from touchstone_client.items import Item
from touchstone_client.rows import RowsUnreadable, question_of, read_rows

SEED = 42
log = logging.getLogger("touchstone")


def sample(source: Any, n: int, seed: int = SEED, references: Sequence[str | None] | None = None) -> list[Item]:
    """At most `n` items of a source, in the order in which they stand there; all of them where there are fewer.

    A source is a path (JSON array or JSON Lines, also .gz), a Hugging Face dataset, or any iterable of rows or prompts, then with
    `references` beside it. Rows stream by: memory holds what is drawn. The same prompt is drawn once.
    Raises TouchstoneError, which names the row, its keys and what is accepted.
    """
    if n < 1:
        raise TouchstoneError(f"{n} prompts cannot be drawn. Ask for at least 1.")
    chooser = random.Random(seed)
    drawn: list[tuple[int, Item]] = []
    keys: set[str] = set()
    seen = 0
    for number, item in enumerate(_items(source, references)):
        if item.key in keys:
            continue
        seen += 1
        if len(drawn) < n:
            drawn.append((number, item))
            keys.add(item.key)
            continue
        place = chooser.randrange(seen)
        if place < n:
            keys.discard(drawn[place][1].key)
            drawn[place] = (number, item)
            keys.add(item.key)
    if not drawn:
        raise TouchstoneError(f"{_name(source)} holds no rows to draw prompts from.")
    if len(drawn) < n:
        log.warning("%s holds %d prompts where %d were asked for; all of them are taken.", _name(source), len(drawn), n)
    drawn.sort(key=lambda pair: pair[0])
    return [
        Item(index, item.prompt, item.messages, item.references, item.metadata, item.key)
        for index, (_, item) in enumerate(drawn)
    ]


def _items(source: Any, references: Sequence[str | None] | None) -> Iterator[Item]:
    if isinstance(references, str):
        raise TouchstoneError("references must be a list, with one text or None for each prompt, and is a single text.")
    number = -1
    for number, row in enumerate(_rows(source)):
        try:
            item = as_item(row)
        except (ValueError, TypeError) as error:
            raise TouchstoneError(f"Row {number + 1} of {_name(source)}: {error}") from None
        if references is not None and number < len(references) and references[number] is not None:
            item = Item(0, item.prompt, item.messages, (str(references[number]),), item.metadata, item.key)
        yield item
    if references is not None and len(references) != number + 1:
        raise TouchstoneError(
            f"There are {len(references)} references for {number + 1} prompts. Give one for each, None where there is none."
        )


def _name(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else f"the given {type(source).__name__}"


def _rows(source: Any) -> Iterator[Any]:
    if isinstance(source, (str, Path)):
        try:
            yield from read_rows(Path(source))
        except RowsUnreadable as error:
            raise TouchstoneError(str(error)) from None
    elif isinstance(source, Mapping):
        raise TouchstoneError(f"A dictionary of splits is no source. Choose one of {', '.join(map(str, source))}.")
    elif isinstance(source, Iterable):
        yield from source
    else:
        raise TouchstoneError(f"Prompts cannot be drawn from {_name(source)}. Give a path, a dataset, or a list.")


def as_item(row: Any) -> Item:
    """A row in any of the usual shapes as an item. Raises ValueError, which names the keys it found."""
    if isinstance(row, Item):
        return row
    asked = question_of(row)
    return Item(0, prompt=asked.prompt, messages=asked.messages, references=asked.references)
