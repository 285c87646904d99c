"""Drawing the questions: a fixed seed draws the same prompts from the same data, wherever and however often."""

import gzip
import json
import logging
import random
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from touchstone_client.errors import TouchstoneError
from touchstone_client.items import Item

ACCEPTED = "prompt/completion, messages, conversations, instruction/input/output, question/answer, or text"
SEED = 42
ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
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
        yield from _file_rows(Path(source))
    elif isinstance(source, Mapping):
        raise TouchstoneError(f"A dictionary of splits is no source. Choose one of {', '.join(map(str, source))}.")
    elif isinstance(source, Iterable):
        yield from source
    else:
        raise TouchstoneError(f"Prompts cannot be drawn from {_name(source)}. Give a path, a dataset, or a list.")


def _file_rows(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise TouchstoneError(f"{path} is not a file. dataset_path must name a JSON array or JSON Lines file, also .gz.")
    opener: Any = gzip.open if path.suffix == ".gz" else open
    at = [0]
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            first = _first_letter(file)
            file.seek(0)
            if first == "[":
                yield from _array(path, file.read())
            else:
                yield from _lines(path, file, at)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise TouchstoneError(f"{path} cannot be read after line {at[0]}: {error}.") from None


def _first_letter(file: Any) -> str:
    for line in file:
        if line.strip():
            return str(line.strip()[0])
    return ""


def _array(path: Path, text: str) -> list[Any]:
    try:
        rows = json.loads(text.lstrip("\ufeff"))
    except json.JSONDecodeError as error:
        raise TouchstoneError(
            f"{path} is not a JSON array: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    return list(rows)


def _lines(path: Path, file: Iterable[str], at: list[int]) -> Iterator[Any]:
    """Rows; `at` tells which line was read last."""
    for number, line in enumerate(file, start=1):
        at[0] = number
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise TouchstoneError(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno}).") from None


def as_item(row: Any) -> Item:
    """A row in any of the usual shapes as an item. Raises ValueError, which names the keys it found."""
    if isinstance(row, str):
        return Item(0, prompt=row)
    if isinstance(row, Item):
        return row
    if not isinstance(row, Mapping):
        raise ValueError(f"a {type(row).__name__} is neither an object nor a text.")
    if "prompt" in row:
        return _prompt_row(row)
    if "messages" in row:
        return _conversation(row["messages"], "messages")
    if "conversations" in row:
        return _conversation(_from_values(row["conversations"]), "conversations")
    if "instruction" in row:
        extra = row.get("input") or ""
        prompt = f"{_text(row, 'instruction')}\n\n{extra}" if extra else _text(row, "instruction")
        return Item(0, prompt=prompt, references=_reference(row, "output", "response"))
    if "question" in row:
        return Item(0, prompt=_text(row, "question"), references=_reference(row, "answer", "answers"))
    if "text" in row:
        return Item(0, prompt=_text(row, "text"))
    raise ValueError(f"its keys are {', '.join(map(str, row)) or 'none'}; expected {ACCEPTED}.")


def _prompt_row(row: Mapping[str, Any]) -> Item:
    prompt = row["prompt"]
    if isinstance(prompt, str):
        return Item(0, prompt=prompt, references=_reference(row, "completion", "response", "reference", "references"))
    messages = _messages(prompt, "prompt")
    answer = row.get("completion")
    if isinstance(answer, (list, tuple)):
        answer = _messages(answer, "completion")[-1].get("content") if answer else None
    return Item(0, messages=messages, references=() if answer is None else (str(answer),))


def _from_values(value: Any) -> Any:
    """Turns of `from` and `value` as messages; whatever else as it is."""
    if not isinstance(value, (list, tuple)):
        return value
    return [
        {"role": ROLES.get(turn["from"], turn["from"]), "content": turn["value"]}
        if isinstance(turn, Mapping) and {"from", "value"} <= turn.keys()
        else turn
        for turn in value
    ]


def _conversation(value: Any, name: str) -> Item:
    """What stands before the last word of the assistant is the question, and that word the reference."""
    messages = _messages(value, name)
    if messages[-1]["role"] != "assistant":
        return Item(0, messages=messages)
    if len(messages) == 1:
        raise ValueError(f"{name} holds only the assistant's answer, and nothing that was asked.")
    content = messages[-1].get("content")
    return Item(0, messages=messages[:-1], references=(content,) if isinstance(content, str) else ())


def _messages(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name} must be a text or a list of messages.")
    if not all(isinstance(message, Mapping) and "role" in message for message in value):
        raise ValueError(f"every message of {name} must have role and content.")
    return [dict(message) for message in value]


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, and is a {type(value).__name__}.")
    return value


def _reference(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """The first of these that is there; SQuAD's {"text": [...]} counts as its texts."""
    for name in names:
        value = row.get(name)
        if isinstance(value, Mapping):
            value = value.get("text")
        if isinstance(value, str):
            return (value,)
        if isinstance(value, (list, tuple)) and all(isinstance(text, str) for text in value):
            return tuple(value)
    return ()
