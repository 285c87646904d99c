"""Labels of whole images: CSV or JSON Lines of file_name and label. Pure."""

import csv
import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord, Source
from datasets.importers.files import own_files
from datasets.importers.image_files import add_image_file, finder_of
from datasets.importers.json_stream import refuse_what_is_no_text
from datasets.importers.problems import ImportRefused, ProblemLog, listed, printable
from datasets.importers.tables import (
    BOX_COLUMNS,
    LABEL_COLUMNS,
    NAME_COLUMNS,
    SUFFIXES,
    column_at,
    columns_of,
    has_label_columns,
    is_csv,
)

LONGEST = 1_000
LONGEST_LINE = 1024 * 1024
PROGRESS_EVERY = 1_000

Row = tuple[int, str, list[str]]


class LabelsImporter:
    """A class alone per image; several labels of an image are several annotations. A class's id is the label itself."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        path = labels_file(source.path)
        refuse_what_is_no_text(path)
        finder = finder_of(source, path)
        known: set[str] = set()
        classes: set[str] = set()
        for number, name, labels in _rows(path, source, problems):
            if name in known:
                problems.add("duplicate_image", row=number, detail=name, kind="samples")
                continue
            known.add(name)
            sample = SampleRecord(name, name, None, None)
            if finder:
                add_image_file(sample, finder, problems, number)
            yield from (CategoryRecord(label, label) for label in labels if label not in classes)
            classes.update(labels)
            yield sample
            yield from (AnnotationRecord(name, label, row=number) for label in labels)
        if not known:
            raise ImportRefused(
                "The file has no rows that fit.",
                where=problems.first_example() or path.name,
                remedy="It needs file_name and label in every row.",
            )


def labels_file(path: Path) -> Path:
    """The file itself; in a folder the only one that names files and labels."""
    if path.is_file():
        return path
    found = [file for file in own_files(path, SUFFIXES) if has_label_columns(file)]
    if len(found) != 1:
        raise ImportRefused(
            f"The folder has {len(found)} files of labels.",
            where=listed(file.name for file in found) or path.name,
            remedy="Name the one that is meant.",
        )
    return found[0]


def _rows(path: Path, source: Source, problems: ProblemLog) -> Iterator[Row]:
    """Row number (as editors count lines), file name and labels of what fits."""
    read = _csv_rows if is_csv(path) else _json_rows
    size, number = path.stat().st_size, 1
    try:
        with path.open("rb") as raw, TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            for count, (number, name, labels) in enumerate(read(file, problems)):
                if count % PROGRESS_EVERY == 0:
                    source.progress(raw.tell(), size)
                if not name or not labels:
                    problems.add("missing_field", row=number, detail="file_name or label is empty", kind="samples")
                elif len(name) > LONGEST or "\0" in name or any(len(label) > LONGEST or "\0" in label for label in labels):
                    problems.add("name_too_long", row=number, kind="samples")
                else:
                    yield number, printable(name), [printable(label) for label in labels]
    except UnicodeDecodeError:
        raise ImportRefused(
            "The file is not valid UTF-8.", where=f"line {_first_bad_line(path)}", remedy="Save it as UTF-8."
        ) from None
    except csv.Error as error:
        raise ImportRefused(
            f"The file is not valid CSV ({error}).", where=f"after line {number}", remedy="Export it again."
        ) from None


def _first_bad_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _csv_rows(file: TextIO, problems: ProblemLog) -> Iterator[Row]:
    head = file.readline(LONGEST_LINE)
    columns, delimiter = columns_of(head)
    name_at, label_at = column_at(columns, NAME_COLUMNS), column_at(columns, LABEL_COLUMNS)
    if name_at is None or label_at is None:
        raise _header_refusal(head, has_name=name_at is not None)
    if BOX_COLUMNS & set(columns):
        raise ImportRefused(
            "This table has boxes; only a class per image is read from a table.",
            where=f"line 1: {head[:80].strip()}",
            remedy="Convert it to COCO JSON, or leave the columns of the boxes out.",
        )
    reader = csv.reader(file, delimiter=delimiter)
    for row in reader:
        number = reader.line_num + 1
        if not row:
            continue
        if len(row) <= max(name_at, label_at) or any(cell.strip() for cell in row[len(columns) :]):
            problems.add("bad_line", row=number, detail=f"{len(row)} columns instead of {len(columns)}", kind="samples")
            continue
        yield number, row[name_at].strip(), [row[label_at].strip()] if row[label_at].strip() else []


def _header_refusal(head: str, *, has_name: bool) -> ImportRefused:
    remedy = "Put the line file_name,label before the others; commas, semicolons or tabs part the columns."
    if has_name:
        remedy = "Name the column of the class 'label'; classes with a column each become JSON Lines with a list of labels."
    return ImportRefused(
        "The first line names no columns file_name and label.", where=f"line 1: {head[:80].strip()}", remedy=remedy
    )


def _json_rows(file: TextIO, problems: ProblemLog) -> Iterator[Row]:
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            problems.add("bad_line", row=number, detail="not JSON", kind="samples")
            continue
        if not isinstance(row, dict):
            problems.add("not_an_object", row=number, kind="samples")
            continue
        yield number, str(_first(row, NAME_COLUMNS) or "").strip(), _labels(_first(row, LABEL_COLUMNS))


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _labels(value: Any) -> list[str]:
    """One label or a list of them, as text, each once."""
    values = value if isinstance(value, list) else [value]
    texts = (str(label).strip() for label in values if isinstance(label, (str, int)) and not isinstance(label, bool))
    return list(dict.fromkeys(text for text in texts if text))
