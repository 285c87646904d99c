"""CSV of curated sets."""

from typing import Any

import pytest

from predictions import set_files
from predictions.set_files import SetContent, SetFileRefused
from predictions.set_files.base import made_item


def read(text: str) -> SetContent:
    return set_files.read("csv", text.encode())


def refusal(text: str) -> list[str]:
    with pytest.raises(SetFileRefused) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def test_plain_columns_are_items() -> None:
    item = read('Question,Answer,Tags,Weight,Topic\n2 + 2 =,4,"maths,easy",2,sums\n').items[0]
    assert (item.prompt, item.references, item.tags, item.weight) == ("2 + 2 =", ["4"], ["maths", "easy"], 2.0)
    assert item.metadata == {"topic": "sums"}


def test_references_are_one_text_or_a_list() -> None:
    rows = read('prompt,references\na,plain\nb,"[""x"", ""y""]"\nc,\n').items
    assert [item.references for item in rows] == [["plain"], ["x", "y"], []]


def test_tabs_part_cells_too() -> None:
    assert read("prompt\treference\na, b\tc\n").items[0].prompt == "a, b"


def test_empty_lines_are_none() -> None:
    assert len(read("prompt\na\n\nb\n").items) == 2


def test_formulas_are_written_as_texts() -> None:
    text = set_files.write("csv", SetContent([made_item(row=0, prompt="=cmd()", references=["-1"])]))
    assert "'=cmd()" in text and read(text).items[0].prompt == "=cmd()"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("answer,tags\nx,y\n", "row 1: No column asks anything. Its columns are answer, tags."),
        ("", "row 1: No column asks anything."),
        ("prompt,prompt\na,b\n", "row 1: A column occurs twice: prompt."),
        ("prompt,tags\na,b,c\n", "row 2: It has 3 cells under 2 names."),
        ("prompt,validators\na,nonsense\n", "row 2, validators: It is not JSON"),
        ("prompt,weight\na,heavy\n", "row 2, weight: 'heavy' is no weight."),
        ("prompt,messages\n,7\n", "row 2, messages: It must be a list of objects"),
        ("prompt,key\na,k\nb,k\n", "row 3, key: The key 'k' stands for another item in row 2."),
    ],
)
def test_a_bad_row_is_named_with_field_and_reason(text: str, said: str) -> None:
    assert said in refusal(text)[0]


@pytest.mark.parametrize("text", ['prompt\n"never closed', "prompt\na\x00b\n"])
def test_damaged_tables_do_no_harm(text: str) -> None:
    try:
        content: Any = read(text)
    except SetFileRefused as refused:
        assert refused.problems
    else:
        assert "\x00" not in content.items[0].prompt
