"""CSV and TSV: a line per item, lists and objects as JSON in their cells. Pure.

`set_validators` and `pass_threshold` stand in the first line of items and hold for all of them. A cell that a spreadsheet
would run as a formula is written with an apostrophe in front, which reading takes away.
"""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from predictions.set_files.base import BadField, ItemRecord, Reading, SetContent, checked_threshold, made_item

COLUMNS = ("key", "prompt", "messages", "image", "references", "validators", "tags", "weight", "notes", "metadata")
OF_THE_SET = ("set_validators", "pass_threshold")
QUESTIONS = ("prompt", "question", "input", "text", "instruction")
REFERENCE = ("reference", "answer", "expected", "ground_truth", "target", "output", "completion", "response")
AS_JSON = ("messages", "image", "validators", "metadata", "set_validators")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def read(text: str, reading: Reading) -> SetContent:
    content = SetContent()
    csv.field_size_limit(10_000_000)
    head = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if head.count("\t") > head.count(",") else ",")
    try:
        names = [name.strip().casefold().replace(" ", "_") for name in next(lines, [])]
        if _has_usable(names, reading):
            for number, cells in enumerate(lines, start=2):
                if any(cells):
                    _read_line(names, cells, number, content, reading)
    except csv.Error as error:
        reading.refuse(f"It is no table ({error}).", "Save it as CSV with quotes around texts.", lines.line_num)
    return content


def _has_usable(names: list[str], reading: Reading) -> bool:
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        reading.refuse(f"A column occurs twice: {', '.join(twice)}.", "Name each column once.", 1)
        return False
    if not {*QUESTIONS, "messages", "image"} & set(names):
        known = f"Its columns are {', '.join(names)[:200] or 'none'}."
        reading.refuse(f"No column asks anything. {known}", f"Name one of them {', '.join(QUESTIONS)}, messages or image.", 1)
        return False
    return True


def _read_line(names: list[str], cells: list[str], number: int, content: SetContent, reading: Reading) -> None:
    """One item. Its number is that of the table's row, the head counted, as spreadsheets count."""
    try:
        if len(cells) > len(names):
            raise BadField("", f"It has {len(cells)} cells under {len(names)} names.", "Put quotes around texts with commas.")
        row = {name: _without_guard(cell) for name, cell in zip(names, cells, strict=False)}
        values = {name: _json_cell(name, row.pop(name)) for name in AS_JSON if name in row}
        if values.get("set_validators") is not None or row.get("pass_threshold"):
            content.validators = values.get("set_validators") or []
            content.pass_threshold = checked_threshold(row.get("pass_threshold"))
        content.add(_record(row, values, number, reading))
    except BadField as bad:
        reading.refuse(str(bad), bad.remedy, number, bad.name)


def _record(row: dict[str, str], values: Mapping[str, Any], number: int, reading: Reading) -> ItemRecord:
    question = next((name for name in QUESTIONS if name in row), None)
    reference = next((name for name in REFERENCE if row.get(name)), None)
    asks_otherwise = values.get("messages") is not None or values.get("image") is not None
    prompt = row.get(question) if question else None
    known = {*COLUMNS, *OF_THE_SET, question, *(REFERENCE if reference is None else (reference,))}
    extra = {name: cell for name, cell in row.items() if name not in known and cell}
    reading.extra.update(extra.keys())
    references = _references(row["references"]) if row.get("references") else [row[reference]] if reference else []
    return made_item(
        row=number,
        key=row.get("key"),
        prompt=None if asks_otherwise and not prompt else prompt,
        messages=values.get("messages"),
        image=values.get("image"),
        references=references,
        validators=values.get("validators"),
        tags=row.get("tags"),
        weight=row.get("weight"),
        notes=row.get("notes"),
        metadata={**extra, **(values.get("metadata") or {})},
    )


def _references(cell: str) -> Any:
    """A list in JSON; anything else is one reference as it stands."""
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return [cell]
    return value if isinstance(value, list) else [cell]


def _json_cell(name: str, cell: str) -> Any:
    if not cell.strip():
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise BadField(name, f"It is not JSON ({error}).", "Write a list or an object in JSON.") from None


def _without_guard(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA and len(cell) > 1 else cell


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def write(content: SetContent) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    has_rules = bool(content.validators) or content.pass_threshold is not None
    writer.writerow([*COLUMNS, *(OF_THE_SET if has_rules else ())])
    for number, item in enumerate(content.items):
        cells = _cells(item)
        if has_rules and not number:
            threshold = "" if content.pass_threshold is None else repr(content.pass_threshold)
            cells += [json.dumps(content.validators, ensure_ascii=False), threshold]
        writer.writerow([_guarded(cell) for cell in cells])
    return stream.getvalue()


def _cells(item: ItemRecord) -> list[str]:
    def as_json(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False) if value else ""

    return [
        item.key,
        item.prompt or "",
        as_json(item.messages),
        as_json(item.image),
        as_json(item.references),
        as_json(item.validators),
        ",".join(item.tags),
        "" if item.weight == 1.0 else repr(item.weight),
        item.notes,
        as_json(item.metadata),
    ]
