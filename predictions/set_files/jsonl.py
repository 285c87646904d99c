"""JSON Lines, and JSON arrays: a row per item, in our own words or in any of the usual shapes of rows. Pure.

The first row may be {"set": {"validators": [...], "pass_threshold": 0.8}}, which holds for all of them.
"""

import json
from collections.abc import Iterator
from typing import Any

from predictions.rows import question_of
from predictions.set_files.base import BadField, ItemRecord, Reading, SetContent, checked_threshold, made_item

KEYS = ("key", "item_key", "id", "question_id")
REFERENCES = ("references", "reference", "ground_truth", "target", "expected", "answer", "completion", "response")
OWN = ("messages", "image", "validators", "tags", "weight", "notes", "metadata")
# Fields that `predictions.rows` reads a question from.
ASKING = ("prompt", "conversations", "instruction", "question", "text", "input", "turns")
READ_BY_SHAPE = {"instruction": ("input", "output"), "question": ("answer", "answers")}
NOT_JSON = "Write one JSON object a line, or one array of them."


def read(text: str, reading: Reading) -> SetContent:
    content = SetContent()
    for number, row in _rows(text, reading):
        if isinstance(row, dict) and set(row) == {"set"} and isinstance(row["set"], dict):
            _read_head(row["set"], content, reading, number)
            continue
        try:
            content.add(record(row, number, reading))
        except BadField as bad:
            reading.refuse(str(bad), bad.remedy, number, bad.name)
    return content


def _rows(text: str, reading: Reading) -> Iterator[tuple[int, Any]]:
    """The rows with their numbers: of lines in a file of lines, of elements in an array."""
    try:
        if text.lstrip()[:1] == "[":
            yield from enumerate(json.loads(text), start=1)
            return
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except json.JSONDecodeError as error:
                    reading.refuse(f"It is not JSON ({error.msg} at column {error.colno}).", NOT_JSON, number)
    except json.JSONDecodeError as error:
        reading.refuse(f"It is not JSON ({error.msg} at column {error.colno}).", NOT_JSON, error.lineno)
    except RecursionError:
        reading.refuse("Objects or lists are nested too deeply.", "No set needs that; check where the file comes from.")


def _read_head(head: dict[str, Any], content: SetContent, reading: Reading, number: int) -> None:
    validators = head.get("validators", [])
    content.validators = validators if isinstance(validators, list) else []
    if validators is not content.validators:
        reading.refuse("It must be a list.", "Write a list of validators.", number, "set.validators")
    try:
        content.pass_threshold = checked_threshold(head.get("pass_threshold"))
    except BadField as bad:
        reading.refuse(str(bad), bad.remedy, number, "set.pass_threshold")


def record(row: Any, number: int, reading: Reading) -> ItemRecord:
    """A row as an item; fields that mean nothing here are kept as metadata. Raises BadField."""
    if isinstance(row, str):
        row = {"prompt": row}
    if not isinstance(row, dict):
        raise BadField("", f"It is a {type(row).__name__}.", "A row is an object, or a text that is the prompt.")
    asked, used = _question(row, reading, number)
    key_name = next((name for name in KEYS if row.get(name) not in (None, "")), "")
    extra = {name: value for name, value in row.items() if name not in {*used, *OWN, *REFERENCES, key_name}}
    reading.extra.update(extra.keys())
    metadata = row.get("metadata")
    if extra and isinstance(metadata, dict | None):
        metadata = {**extra, **(metadata or {})}
    return made_item(
        row=number,
        key=row.get(key_name) if key_name else None,
        **asked,
        validators=row.get("validators"),
        tags=row.get("tags"),
        weight=row.get("weight"),
        notes=row.get("notes"),
        metadata=metadata,
    )


def _question(row: dict[str, Any], reading: Reading, number: int) -> tuple[dict[str, Any], set[str]]:
    """Question and references, and the names of the fields they came from."""
    given = next((row[name] for name in REFERENCES if row.get(name) is not None), None)
    if row.get("image") is not None:
        used = {"prompt"} if row.get("prompt") is None else set()
        return {"image": row["image"], "prompt": row.get("prompt"), "references": given}, used
    if row.get("prompt") is None and row.get("messages") is not None and ("references" in row or "key" in row):
        # Our own words: the conversation is the question as it stands.
        return {"messages": row["messages"], "references": given}, {"prompt"}
    row = {name: value for name, value in row.items() if value is not None}
    shape = next((name for name in ("prompt", "messages", *ASKING) if name in row), "")
    if shape == "turns":
        return {"prompt": _first_turn(row["turns"], reading, number), "references": given}, {shape}
    if shape == "input":
        row = {("prompt" if isinstance(row["input"], str) else "messages"): row["input"]}
    try:
        asked = question_of(row)
    except ValueError as error:
        raise BadField(shape or "prompt", str(error), "Give prompt, messages or image.") from None
    found = given if given is not None else list(asked.references)
    return {"prompt": asked.prompt, "messages": asked.messages, "references": found}, {
        shape, *READ_BY_SHAPE.get(shape, ())
    }  # fmt: skip


def _first_turn(turns: Any, reading: Reading, number: int) -> Any:
    if not isinstance(turns, list) or not turns:
        raise BadField("turns", "It must be a list of texts.", "Give prompt, messages or image.")
    if len(turns) > 1:
        reading.leave_out("later turns", "What follows the first turn depends on the model's own answers.", number, "turns")
    return turns[0]


def write(content: SetContent) -> str:
    lines = []
    if content.validators or content.pass_threshold is not None:
        lines.append({"set": {"validators": content.validators, "pass_threshold": content.pass_threshold}})
    lines += [as_row(item) for item in content.items]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def as_row(item: ItemRecord) -> dict[str, Any]:
    """The item in our own words; what is empty is left out, but for the references, which tell that the words are ours."""
    row: dict[str, Any] = {"key": item.key}
    for name in ("prompt", "messages", "image"):
        if getattr(item, name) is not None:
            row[name] = getattr(item, name)
    row["references"] = item.references
    for name in ("validators", "tags", "notes", "metadata"):
        if getattr(item, name):
            row[name] = getattr(item, name)
    if item.weight != 1.0:
        row["weight"] = item.weight
    return row
