"""What the columns of a table of labels may be called, and whether a file is such a table. Pure."""

from collections.abc import Sequence
from pathlib import Path

from datasets.importers.files import head_of

NAME_COLUMNS = ("file_name", "filename", "image", "path", "file", "image_path", "image_name", "img", "image_id")
LABEL_COLUMNS = ("label", "class", "category", "labels", "class_name", "label_name", "target")
BOX_COLUMNS = {"bbox", "box", "x1", "xmin", "x_min", "x", "w"}
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


def is_csv(path: Path) -> bool:
    return path.suffix.lower() not in (".jsonl", ".ndjson")


def has_label_columns(file: Path) -> bool:
    """Whether the first line names a file and a label; of JSON Lines, whether it is an object."""
    line = head_of(file).partition(b"\n")[0].decode("utf-8", "replace")
    if not is_csv(file):
        return line.lstrip().startswith("{")
    columns, _ = columns_of(line)
    return column_at(columns, NAME_COLUMNS) is not None and column_at(columns, LABEL_COLUMNS) is not None


def columns_of(head: str) -> tuple[list[str], str]:
    """The names of the columns, in small letters, and what parts them."""
    delimiter = max(",;\t", key=head.count)
    return [column.strip().strip('"').strip().lower() for column in head.split(delimiter)], delimiter


def column_at(columns: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((columns.index(name) for name in wanted if name in columns), None)
