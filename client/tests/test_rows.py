"""Files of rows, read as a stream."""

import json
from pathlib import Path
from typing import Any

import pytest

from touchstone_client.rows import CHUNK, RowsUnreadable, read_rows


def rows_of(folder: Path, text: str, name: str = "rows.json") -> list[Any]:
    path = folder / name
    path.write_text(text)
    return list(read_rows(path))


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_any_size_is_read(tmp_path: Path, indent: int | None) -> None:
    rows = [{"prompt": f"é{number} " * (number % 50), "n": number} for number in range(2000)]
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    assert len(text) > 3 * CHUNK and rows_of(tmp_path, text) == rows


def test_a_row_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    rows = ["a" * (5 * CHUNK), "b"]
    assert rows_of(tmp_path, json.dumps(rows)) == rows


def test_a_number_at_the_seam_is_whole(tmp_path: Path) -> None:
    for shift in range(8):
        rows = ["x" * (CHUNK - 8 - shift), 123456, 7]
        assert rows_of(tmp_path, json.dumps(rows)) == rows


@pytest.mark.parametrize(("text", "rows"), [("[]", []), (" [ ] ", []), ("\n\n[1 , 2]\n", [1, 2]), ("", []), ("\ufeff[1]", [1])])
def test_small_files(tmp_path: Path, text: str, rows: list[int]) -> None:
    assert rows_of(tmp_path, text) == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2", "the end of the array is missing, after row 2"),
        ("[1 2]", "a comma or the end of the array is missing, after row 1"),
        ('[1, {"a": }]', "Expecting value, after row 1"),
        ("[1, ]", "Expecting value, after row 1"),
        ("[" * 100_000, "too deeply|Expecting value"),
        ('{"a": 1}\n{"a": \n', "line 2: not JSON"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RowsUnreadable, match=said):
        rows_of(tmp_path, text)


def test_rows_come_before_damage_is_met(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("[1, 2, oops]")
    reading = read_rows(path)
    assert [next(reading), next(reading)] == [1, 2]
