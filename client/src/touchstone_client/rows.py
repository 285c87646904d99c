"""Rows of training data: files of them, read as a stream, and the question in a row of any usual shape. The same in client and server."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

ACCEPTED = "prompt/completion, messages, conversations, instruction/input/output, question/answer, or text"
ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
CHUNK = 1 << 16
# Characters of a row. A packed file of a few kilobytes may hold a line that fills the memory.
LONGEST_ROW = 1 << 24
# Characters of a row. A packed file of a few kilobytes may hold a line that fills the memory.
LONGEST_ROW = 1 << 24
BLANKS = " \t\r\n"


class RowsUnreadable(ValueError):
    """Why a file's rows cannot be read, and where."""


@dataclass(frozen=True)
class Question:
    """What a row asks: a prompt or messages, and what may be answered."""

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    references: tuple[str, ...] = ()


# --- Files -------------------------------------------------------------------------------------------------------------------
def read_rows(path: Path) -> Iterator[Any]:
    """The rows of a JSON array or JSON Lines file, also .gz; memory holds one at a time. Raises RowsUnreadable."""
    if not path.is_file():
        raise RowsUnreadable(f"{path} is not a file. Name a JSON array or JSON Lines file, also .gz.")
    opener: Any = gzip.open if path.suffix == ".gz" else open
    at = [0]
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            is_array = _first_letter(file) == "["
            file.seek(0)
            yield from _array(path, file) if is_array else _lines(path, file, at)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise RowsUnreadable(f"{path} cannot be read after line {at[0]}: {error}.") from None
    except RecursionError:
        raise RowsUnreadable(f"{path} nests objects or lists too deeply after line {at[0]}.") from None


def _first_letter(file: TextIO) -> str:
    while chunk := file.read(CHUNK):
        if text := chunk.lstrip(BLANKS + "\ufeff"):
            return text[0]
    return ""


def _lines(path: Path, file: TextIO, at: list[int]) -> Iterator[Any]:
    """Rows; `at` tells which line was read last."""
    for number, line in enumerate(iter(partial(file.readline, LONGEST_ROW), ""), start=1):
        at[0] = number
        if len(line) == LONGEST_ROW and not line.endswith("\n"):
            raise RowsUnreadable(f"{path}, line {number}: longer than {LONGEST_ROW:,} characters, which no row is.")
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise RowsUnreadable(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno}).") from None


def _array(path: Path, file: TextIO) -> Iterator[Any]:
    """The rows of an array, one by one: what has been read but not yielded is less than a chunk, or one row."""
    reader = _ArrayReader(path, file)
    reader.skip_to("[")
    if reader.next_sign() == "]":
        return
    while True:
        yield reader.value()
        sign = reader.next_sign()
        if sign == "]":
            return
        if sign != ",":
            raise reader.error("a comma or the end of the array is missing")
        reader.skip_to(",")


class _ArrayReader:
    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.buffer, self.position, self.row = "", 0, 0
        self.is_at_end = False
        self.decoder = json.JSONDecoder()

    def error(self, reason: str) -> RowsUnreadable:
        return RowsUnreadable(f"{self.path} is not a JSON array: {reason}, after row {self.row}.")

    def _more(self, least: int = CHUNK) -> bool:
        chunk = self.file.read(least)
        self.is_at_end = not chunk
        self.buffer, self.position = self.buffer[self.position :] + chunk, 0
        return not self.is_at_end

    def next_sign(self) -> str:
        """The next character that is no blank, which stays; empty at the end."""
        while True:
            while self.position < len(self.buffer):
                if self.buffer[self.position] not in BLANKS + "\ufeff":
                    return self.buffer[self.position]
                self.position += 1
            if not self._more():
                return ""

    def skip_to(self, sign: str) -> None:
        if self.next_sign() == sign:
            self.position += 1

    def value(self) -> Any:
        """The row that begins here. A longer row is tried again with twice as much text, so that no length is slow."""
        self.next_sign()
        wanted = CHUNK
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.position)
            except json.JSONDecodeError as error:
                if self.is_at_end or not self._more(wanted):
                    raise self.error(error.msg) from None
            else:
                # A number may go on behind the end of what has been read.
                if end < len(self.buffer) or self.is_at_end or not self._more(wanted):
                    self.position, self.row = end, self.row + 1
                    return value
            if len(self.buffer) - self.position > LONGEST_ROW:
                raise self.error(f"a row is longer than {LONGEST_ROW:,} characters")
            if len(self.buffer) - self.position > LONGEST_ROW:
                raise self.error(f"a row is longer than {LONGEST_ROW:,} characters")
            wanted *= 2


# --- Rows --------------------------------------------------------------------------------------------------------------------
def question_of(row: Any) -> Question:
    """What a row in any of the usual shapes asks. Raises ValueError, which names the keys it found."""
    if isinstance(row, str):
        return Question(row)
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
        return Question(prompt, references=_reference(row, "output", "response"))
    if "question" in row:
        return Question(_text(row, "question"), references=_reference(row, "answer", "answers"))
    if "text" in row:
        return Question(_text(row, "text"))
    raise ValueError(f"its keys are {', '.join(map(str, row)) or 'none'}; expected {ACCEPTED}.")


def _prompt_row(row: Mapping[str, Any]) -> Question:
    prompt = row["prompt"]
    if isinstance(prompt, str):
        return Question(prompt, references=_reference(row, "completion", "response", "reference", "references"))
    messages = as_messages(prompt, "prompt")
    answer = row.get("completion")
    if isinstance(answer, (list, tuple)):
        answer = as_messages(answer, "completion")[-1].get("content") if answer else None
    return Question(messages=messages, references=() if answer is None else (str(answer),))


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


def _conversation(value: Any, name: str) -> Question:
    """What stands before the last word of the assistant is the question, and that word the reference."""
    messages = as_messages(value, name)
    if messages[-1]["role"] != "assistant":
        return Question(messages=messages)
    if len(messages) == 1:
        raise ValueError(f"{name} holds only the assistant's answer, and nothing that was asked.")
    content = messages[-1].get("content")
    return Question(messages=messages[:-1], references=(content,) if isinstance(content, str) else ())


def as_messages(value: Any, name: str) -> list[dict[str, Any]]:
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
