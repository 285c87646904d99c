import gzip
import json
from pathlib import Path

import pytest

from datasets.importers.guarded_text import CHUNK
from datasets.importers.json_stream import JsonStream
from datasets.importers.problems import ImportRefused
from tests.coco_files import write


def rows(path: Path) -> list[object]:
    return list(JsonStream(path).items("item"))


@pytest.mark.parametrize(
    ("content", "words", "where"),
    [
        (b"", "empty", "byte 0"),
        (gzip.compress(b"[]"), "compressed", "byte 0"),
        (b"PK\x03\x04rest", "compressed", "byte 0"),
        ("[1]".encode("utf-16"), "encoding", "byte 0"),
        (b'[{"a": 1}, {"a": ', "cut short", "byte 17 of 17, after row 1"),
        (b'[{"a": 1}, {"a"; 2}]', "not valid JSON", "byte 15 of 20, after row 1"),
        (b'["\xff\xfe"]', "UTF-8", "byte 2"),
        (b"not json", "not valid JSON", "byte"),
        (b"[1, 2] and more", "goes on", "byte 7"),
        (b'{"a": 1}\n{"a": 2}\n', "goes on", "byte 9"),
        (b"  \n" * 40, "empty", "byte 0"),
        (b"[1,\x00 2]", "NUL", "byte 3"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "no text", "byte 0"),
        (b'[{"a": None}]', "not valid JSON", "byte 7"),
        (b"\xef\xbb\xbf[1, x]", "not valid JSON", "byte 7 of 9"),
        (b'[NaN, {"a": 1}, {"b": ', "cut short", "byte 22 of 22, after row 2"),
        (b'[NaN, {"a" x}]', "not valid JSON", "byte 11 of 14, after row 1"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(tmp_path: Path, content: bytes, words: str, where: str) -> None:
    with pytest.raises(ImportRefused, match=words) as refused:
        rows(write(tmp_path / "file.json", content))
    assert where in refused.value.where
    assert refused.value.remedy


def test_the_byte_is_exact_far_into_the_file(tmp_path: Path) -> None:
    good = ",".join(['{"a": 12345}'] * 20_000)
    path = write(tmp_path / "file.json", f'[{good},{{"a" x}}]')
    with pytest.raises(ImportRefused) as refused:
        rows(path)
    # The parser stops at the x where a colon should be.
    assert refused.value.where.startswith(f"byte {len(good) + 2 + 5:,} of")


def test_a_utf8_mark_is_passed_over(tmp_path: Path) -> None:
    assert rows(write(tmp_path / "file.json", b"\xef\xbb\xbf[1, 2]")) == [1, 2]


def test_numbers_that_json_has_no_word_for_become_empty_text(tmp_path: Path) -> None:
    path = write(tmp_path / "file.json", '[1.5, NaN, -Infinity, Infinity, "NaN", "a \\" NaN", {"NaN": NaN}]')
    assert rows(path) == [1.5, "", "", "", "NaN", 'a " NaN', {"NaN": ""}]


def test_nan_far_into_the_file_loses_and_doubles_nothing(tmp_path: Path) -> None:
    values = [{"n": n, "text": "x" * (n % 50)} for n in range(30_000)]
    values[25_000]["n"] = float("nan")
    found = rows(write(tmp_path / "file.json", json.dumps(values)))
    assert found == [*values[:25_000], {"n": "", "text": values[25_000]["text"]}, *values[25_001:]]


@pytest.mark.parametrize("depth", [300, 5_000, 2_000_000])
def test_deep_nesting_is_refused_before_it_costs_memory(tmp_path: Path, depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        with pytest.raises(ImportRefused, match="nested"):
            rows(write(tmp_path / "file.json", "[" + opening * depth + "1" + closing * depth + "]"))


def test_brackets_in_text_are_no_nesting(tmp_path: Path) -> None:
    names = [f"[[[{{{n}" for n in range(20_000)]
    assert rows(write(tmp_path / "file.json", json.dumps(names))) == names


@pytest.mark.parametrize("number", ["1" * 5_000, "-" + "9" * 30, "1e400", "-1.5E+999", "1" * 310 + ".5", str(2**63)])
def test_a_number_too_large_becomes_empty_text(tmp_path: Path, number: str) -> None:
    assert rows(write(tmp_path / "file.json", f'[1, {number}, {{"a":{number}}}, "{number}"]')) == [1, "", {"a": ""}, number]


@pytest.mark.parametrize(
    "number", ["9223372036854775807", "-9223372036854775807", "0.12345678901234567890123", "1e-999", "1e300"]
)
def test_a_long_number_that_fits_stays(tmp_path: Path, number: str) -> None:
    assert rows(write(tmp_path / "file.json", f"[NaN, {number}]")) == ["", json.loads(number)]


@pytest.mark.parametrize("shift", range(12))
def test_a_word_may_span_pieces(tmp_path: Path, shift: int) -> None:
    text = '["' + "x" * (CHUNK - 6 - shift) + '",-Infinity,NaN, "NaN\\" NaN", 1e999]'
    assert rows(write(tmp_path / "file.json", text))[1:] == ["", "", 'NaN" NaN', ""]


@pytest.mark.parametrize("shift", range(4))
def test_an_escaped_quote_may_span_pieces(tmp_path: Path, shift: int) -> None:
    strings = ["x" * (CHUNK - 4 - shift) + '\\"[' + "[" * 300, "]"]
    assert rows(write(tmp_path / "file.json", json.dumps(strings))) == strings
    assert rows(write(tmp_path / "file.json", json.dumps([*strings, float("nan")]))) == [*strings, ""]


def test_a_number_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="number of more than"):
        rows(write(tmp_path / "file.json", "[NaN, " + "1" * 1_000_000 + "]"))


def test_long_text_beside_nan_takes_no_longer_than_text(tmp_path: Path) -> None:
    text = "x" * 10_000_000
    assert rows(write(tmp_path / "file.json", f'[NaN, "{text}"]')) == ["", text]


def test_a_text_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="a text of more than 16 MB") as refused:
        rows(write(tmp_path / "file.json", '[1, "' + "x[" * 10_000_000 + '"]'))
    assert refused.value.where == "byte 65,536"


def test_brackets_in_text_do_not_add_up(tmp_path: Path) -> None:
    values = [{"name": "a[" if n % 500 == 0 else "b", "text": "x" * 100} for n in range(200_000)]
    assert rows(write(tmp_path / "file.json", json.dumps(values))) == values


def test_flat_rows_of_nested_lists_are_no_nesting(tmp_path: Path) -> None:
    values = [[[[[[[[[[[n]]]]]]]]]] for n in range(20_000)]
    assert rows(write(tmp_path / "file.json", json.dumps(values))) == values


def test_the_byte_of_deep_nesting_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused) as refused:
        rows(write(tmp_path / "file.json", '["[[[", ' + "[" * 500))
    assert refused.value.where == "byte 207"


def test_floats_are_not_rounded(tmp_path: Path) -> None:
    assert rows(write(tmp_path / "file.json", "[0.1234567890123456, 1e-300]")) == [0.1234567890123456, 1e-300]


def test_top_level_names_keys_with_their_kinds(tmp_path: Path) -> None:
    path = write(tmp_path / "file.json", {"images": [{"id": 1}], "info": {"images": 2}, "n": 3})
    assert JsonStream(path).top_level() == ("object", {"images": "array", "info": "object", "n": "value"})
    assert JsonStream(write(tmp_path / "list.json", [])).top_level() == ("array", {})


def test_progress_ends_at_the_size(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = write(tmp_path / "file.json", json.dumps(list(range(500_000))))
    list(JsonStream(path, lambda done, total: seen.append((done, total))).items("item"))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert len(seen) > 2
