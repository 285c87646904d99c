"""Drawing prompts."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from touchstone_client import TouchstoneError, sample

ROWS = [{"prompt": f"q{number}", "completion": f"a{number}"} for number in range(500)]


@pytest.mark.parametrize("name", ["rows.json", "rows.json.gz", "rows.jsonl", "rows.jsonl.gz"])
def test_every_file_draws_the_same(tmp_path: Path, name: str) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    path = tmp_path / name
    with gzip.open(path, "wt") if name.endswith("gz") else path.open("w") as file:
        file.write(json.dumps(ROWS) if ".jsonl" not in name else lines)
    assert [item.prompt for item in sample(path, 10)] == [item.prompt for item in sample(ROWS, 10)]


def test_a_seed_draws_the_same_whatever_the_global_state() -> None:
    random.seed(1)
    first = sample(ROWS, 20)
    random.seed(2)
    assert sample(ROWS, 20) == first and sample(ROWS, 20, seed=43) != first


def test_the_global_state_stays() -> None:
    random.seed(5)
    before = random.getstate()
    sample(ROWS, 20)
    assert random.getstate() == before


def test_indices_count_from_zero_in_the_order_of_the_source() -> None:
    items = sample(ROWS, 20)
    numbers = [int(item.prompt[1:]) for item in items if item.prompt]
    assert [item.sample_index for item in items] == list(range(20)) and numbers == sorted(numbers)


def test_a_prompt_keeps_its_key_whatever_its_place() -> None:
    by_prompt = {item.prompt: item.key for item in sample(ROWS[::-1], 500)}
    assert by_prompt == {item.prompt: item.key for item in sample(ROWS, 500)}


def test_the_same_prompt_is_drawn_once() -> None:
    assert len(sample([{"prompt": "same"}] * 50, 10)) == 1


def test_fewer_rows_than_asked_are_all_taken() -> None:
    assert len(sample(ROWS[:3], 10)) == 3


CHAT = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]


@pytest.mark.parametrize(
    ("row", "asked", "references"),
    [
        ({"prompt": "p", "completion": "c"}, "p", ("c",)),
        ({"prompt": "p"}, "p", ()),
        ({"instruction": "i", "input": "x", "output": "o"}, "i\n\nx", ("o",)),
        ({"instruction": "i", "input": "", "output": "o"}, "i", ("o",)),
        ({"question": "q", "answer": "a"}, "q", ("a",)),
        ({"question": "q", "answers": {"text": ["a", "b"], "answer_start": [0, 1]}}, "q", ("a", "b")),
        ({"text": "t"}, "t", ()),
        ("plain", "plain", ()),
        ({"messages": CHAT}, CHAT[:1], ("4",)),
        ({"messages": CHAT[:1]}, CHAT[:1], ()),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, CHAT[:1], ("4",)),
    ],
)
def test_the_usual_shapes_are_understood(row: Any, asked: Any, references: tuple[str, ...]) -> None:
    item = sample([row], 1)[0]
    assert (item.messages if item.prompt is None else item.prompt, item.references) == (asked, references)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"input_ids": [1]}, "its keys are input_ids"),
        (7, "neither"),
        ({"messages": []}, "list of messages"),
        ({"question": 3}, "question"),
    ],
)
def test_other_shapes_are_refused_with_their_row(row: Any, said: str) -> None:
    with pytest.raises(TouchstoneError, match=rf"Row 2 .*{said}"):
        sample([{"text": "fine"}, row], 2)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(TouchstoneError, match="line 2"):
        sample(path, 1)


def test_a_truncated_gz_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n' * 99)[:-9])
    with pytest.raises(TouchstoneError, match="cannot be read"):
        sample(path, 1)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TouchstoneError, match="not a file"):
        sample(tmp_path / "none.jsonl", 1)


def test_references_stand_beside_prompts() -> None:
    assert [item.references for item in sample(["a", "b"], 2, references=["A", None])] == [("A",), ()]


def test_a_hugging_face_dataset_is_a_source() -> None:
    datasets = pytest.importorskip("datasets")
    assert [item.prompt for item in sample(datasets.Dataset.from_list(ROWS), 5)] == [item.prompt for item in sample(ROWS, 5)]
