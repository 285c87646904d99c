"""JSON Lines of curated sets: our own words, the usual shapes of rows, and what is refused where."""

import json
from typing import Any

import pytest

from predictions import set_files
from predictions.item_keys import content_key
from predictions.set_files import Reading, SetContent, SetFileRefused
from predictions.set_files.base import MOST_PROBLEMS, ItemRecord, made_item

CHAT = [{"role": "user", "content": "2 + 2 ="}]
IMAGE = {"dataset": "birds", "split": "val", "file_name": "a.jpg"}


def read(*rows: Any, **options: Any) -> SetContent:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    return set_files.read("jsonl", text.encode(), Reading(**options))


def refusal(*rows: Any) -> list[str]:
    with pytest.raises(SetFileRefused) as caught:
        read(*rows)
    assert all(problem.remedy for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("row", "asked", "references"),
    [
        ({"prompt": "p"}, "p", []),
        ({"prompt": "p", "references": ["a", "b"]}, "p", ["a", "b"]),
        ({"prompt": "p", "reference": "a"}, "p", ["a"]),
        ({"prompt": "p", "ground_truth": "a"}, "p", ["a"]),
        ({"prompt": "p", "completion": "a"}, "p", ["a"]),
        ({"question": "q", "answer": "a"}, "q", ["a"]),
        ({"instruction": "i", "input": "x", "output": "o"}, "i\n\nx", ["o"]),
        ({"input": "p", "target": "t"}, "p", ["t"]),
        ({"input": CHAT, "target": ["s", "t"]}, CHAT, ["s", "t"]),
        ({"messages": [*CHAT, {"role": "assistant", "content": "4"}]}, CHAT, ["4"]),
        ({"messages": CHAT, "references": ["4"]}, CHAT, ["4"]),
        ({"text": "t"}, "t", []),
        ({"prompt": ""}, "", []),
    ],
)
def test_the_usual_shapes_are_items(row: dict[str, Any], asked: Any, references: list[str]) -> None:
    item = read(row).items[0]
    assert (item.prompt if item.messages is None else item.messages, item.references) == (asked, references)
    assert item.key == content_key(asked)


def test_an_array_of_texts_is_a_set_of_prompts() -> None:
    assert [item.prompt for item in read(json.dumps(["a", "b"])).items] == ["a", "b"]


def test_what_means_nothing_here_is_kept_and_told() -> None:
    content = read({"id": 7, "prompt": "p", "category": "maths", "metadata": {"from": "us"}})
    assert (content.items[0].key, content.items[0].metadata) == ("7", {"category": "maths", "from": "us"})
    assert dict(content.extra) == {"category": 1}


def test_the_same_row_twice_is_one_item() -> None:
    content = read({"prompt": "p"}, {"prompt": "p"}, {"prompt": "q"})
    assert (len(content.items), content.repeated) == (2, 1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "row 2: It is not JSON (Expecting property name enclosed in double quotes at column 2)."),
        (7, "row 2: It is a int."),
        ({}, "row 2, prompt: its keys are none"),
        ({"prompt": 3}, "row 2, prompt: prompt must be a text or a list of messages."),
        ({"prompt": "p", "image": IMAGE}, "row 2, prompt: It has prompt and image."),
        ({"image": {"dataset": "birds"}}, "row 2, image: It must be an object with dataset, split and file_name."),
        ({"prompt": "p", "references": [1]}, "row 2, references: It must be a text or a list of texts."),
        ({"prompt": "p", "validators": {"type": "is_json"}}, "row 2, validators: It must be a list of objects."),
        ({"prompt": "p", "validators": [{"type": "gone"}]}, "row 2, validators: validator 1: must be an object whose type"),
        ({"prompt": "p", "validators": [{"type": "label_is", "value": "x"}]}, "is for images, not for texts."),
        ({"image": IMAGE, "validators": [{"type": "is_json"}]}, "is for texts, not for images."),
        ({"prompt": "p", "tags": "a" * 61}, "row 2, tags: A tag is too long"),
        ({"prompt": "p", "weight": 0}, "row 2, weight: 0 is no weight."),
        ({"prompt": "p", "weight": True}, "row 2, weight: True is no weight."),
        ({"prompt": "p", "weight": "NaN"}, "row 2, weight: 'NaN' is no weight."),
        ({"prompt": "p", "key": "k" * 121}, "row 2, key: It is longer than 120 characters."),
        ({"prompt": "p", "metadata": []}, "row 2, metadata: It must be an object."),
        ({"prompt": "other", "key": "first"}, "row 2, key: The key 'first' stands for another item in row 1."),
        ({"set": {"pass_threshold": 2}}, "row 2, set.pass_threshold: 2 is no share."),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_row_is_named_with_field_and_reason(row: Any, said: str) -> None:
    found = refusal({"prompt": "fine", "key": "first"}, row)
    assert len(found) == 1 and said in found[0]


def test_all_problems_are_told_up_to_a_number() -> None:
    assert len(refusal({}, {"prompt": "fine"}, {"prompt": 1})) == 2
    assert len(refusal(*[{}] * 50)) == MOST_PROBLEMS


@pytest.mark.parametrize("text", ["", "\n\n", "[]"])
def test_an_empty_file_is_refused(text: str) -> None:
    assert refusal(text) == ["The file holds no items."]


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(SetFileRefused, match="row 2: Byte 3 is not UTF-8"):
        set_files.read("jsonl", b"{}\n\xff")


def test_later_turns_are_left_out_only_on_request() -> None:
    rows = [{"question_id": 1, "turns": ["one", "two"]}, {"question_id": 2, "turns": ["only"]}]
    assert len(refusal(*rows)) == 1
    content = read(*rows, skips_unknown=True)
    assert [item.prompt for item in content.items] == ["one", "only"] and content.left_out == {"later turns": 1}


def every_kind() -> SetContent:
    """Items with all that can be hard to write down."""
    hard = [
        "",
        " leading",
        "=1+1",
        "'quoted",
        "-",
        "a,b;c\td",
        'say "so"',
        "line\nbreak",
        "car\rriage\r\n",
        "NULL",
        "no",
        "08",
        "1e3",
    ]
    hard += ["2024-01-01", "{{name}}", "[1]", '["a"]', "# no comment", "ä€𝄞", "~", "|", "\u2028x", "*a", "&a", "trailing "]
    items = [made_item(row=0, prompt=text, references=[text, "x"], notes=text) for text in hard]
    items += [made_item(row=0, key=f"k{number}", prompt=f"p{number}", references=[text]) for number, text in enumerate(hard)]
    items.append(
        made_item(row=0, messages=[*CHAT, {"role": "assistant", "content": "4"}, *CHAT], tags=["a b", "c"], weight=0.1)
    )
    items.append(
        made_item(row=0, prompt="checked", validators=[{"type": "contains", "value": "a\nb", "not": True, "weight": 2}],
                  metadata={"deep": {"list": [1, None, "x"]}})
    )  # fmt: skip
    return SetContent(items, [{"type": "is_json"}], 0.25)


def image_item() -> ItemRecord:
    return made_item(row=0, image=IMAGE, validators=[{"type": "label_is", "value": "x"}], notes="blurred")


@pytest.mark.parametrize("key", set_files.FORMATS)
def test_what_is_written_is_read_as_it_was(key: str) -> None:
    content = every_kind()
    if key != "promptfoo":  # which knows no images
        content.items.append(image_item())
    again = set_files.read(key, set_files.write(key, content).encode())
    assert again.items == content.items
    assert (again.validators, again.pass_threshold) == (content.validators, content.pass_threshold)


@pytest.mark.parametrize("name", ["items.JSONL", "items.json", "items.csv", "tests.yaml", "tests.yml"])
def test_formats_are_told_by_the_ending(name: str) -> None:
    assert set_files.sniff(name) in set_files.FORMATS


def test_other_endings_are_refused() -> None:
    with pytest.raises(SetFileRefused, match="ends like none"):
        set_files.sniff("items.xlsx")
