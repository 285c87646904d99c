"""Labels of whole images: CSV or JSON Lines of file_name and label. Pure."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord, Source
from datasets.importers.coco import add_image_file
from datasets.importers.image_files import ImageFinder
from datasets.importers.problems import ImportRefused, ProblemLog

NAME_COLUMNS = ("file_name", "filename", "image", "path", "file", "image_path", "img")
LABEL_COLUMNS = ("label", "class", "category", "labels", "class_name", "target")
LONGEST = 1_000
LONGEST_LINE = 1024 * 1024
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")

Row = tuple[int, str, list[str]]


class LabelsImporter:
    """A class alone per image; several labels per image are several annotations. Class ids count in order of appearance."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        path = labels_file(source.path)
        finder = ImageFinder(source.images) if source.images else None
        known: set[str] = set()
        categories: dict[str, str] = {}
        with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            for number, name, labels in _rows(file, path, problems):
                source.progress(number, 0)
                if name in known:
                    problems.add("duplicate_image", row=number, detail=name, kind="samples")
                    continue
                known.add(name)
                sample = SampleRecord(name, name, None, None)
                if finder:
                    add_image_file(sample, finder, problems, number)
                for label in labels:
                    if label not in categories:
                        categories[label] = str(len(categories))
                        yield CategoryRecord(categories[label], label)
                yield sample
                for label in labels:
                    yield AnnotationRecord(name, categories[label], row=number)
        if not known:
            raise ImportRefused("The file has no rows.", where=path.name, remedy="It needs file_name and label in every row.")


def labels_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        raise ImportRefused(
            f"The folder has {len(found)} files of labels.", where=path.name, remedy="Name the one that is meant."
        )
    return found[0]


def _rows(file: TextIO, path: Path, problems: ProblemLog) -> Iterator[Row]:
    """Row number (as editors count lines), file name and labels of what fits."""
    read = _json_rows if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows
    number = 1
    try:
        for number, name, labels in read(file, problems):
            if not name or not labels:
                problems.add("missing_field", row=number, detail="file_name or label is empty", kind="samples")
            elif len(name) > LONGEST or "\0" in name or any(len(label) > LONGEST or "\0" in label for label in labels):
                problems.add("name_too_long", row=number, kind="samples")
            else:
                yield number, name, labels
    except UnicodeDecodeError as error:
        raise ImportRefused(
            "The file is not valid UTF-8.",
            where=f"after row {number}, byte {error.object[error.start]:#x}",
            remedy="Save it as UTF-8.",
        ) from None
    except csv.Error as error:
        raise ImportRefused(
            f"The file is not valid CSV ({error}).", where=f"after row {number}", remedy="Export it again."
        ) from None


def _csv_rows(file: TextIO, problems: ProblemLog) -> Iterator[Row]:
    head = file.readline(LONGEST_LINE)
    delimiter = max(",;\t", key=head.count)
    columns = [column.strip().strip('"').lower() for column in head.split(delimiter)]
    name_at, label_at = _column(columns, NAME_COLUMNS), _column(columns, LABEL_COLUMNS)
    if name_at is None or label_at is None:
        raise ImportRefused(
            "The first line names no columns file_name and label.",
            where=f"line 1: {head[:80].strip()}",
            remedy="Add that line.",
        )
    reader = csv.reader(file, delimiter=delimiter)
    for row in reader:
        number = reader.line_num + 1
        if not row:
            continue
        if len(row) <= max(name_at, label_at):
            problems.add("bad_line", row=number, detail=f"{len(row)} columns instead of {len(columns)}", kind="samples")
            continue
        yield number, row[name_at].strip(), [row[label_at].strip()] if row[label_at].strip() else []


def _column(columns: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((columns.index(name) for name in wanted if name in columns), None)


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
    return list(dict.fromkeys(str(label).strip() for label in values if isinstance(label, (str, int)) and str(label).strip()))
