"""promptfoo's test files: what has a counterpart here, what is refused or left out, and YAML that means harm."""

from typing import Any

import pytest
import yaml

from predictions import set_files
from predictions.set_files import Reading, SetContent, SetFileRefused
from predictions.set_files.base import made_item

TEST = {"vars": {"prompt": "What is 2 + 2?"}, "assert": [{"type": "equals", "value": "4"}]}


def read(document: Any, **options: Any) -> SetContent:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    return set_files.read("promptfoo", text.encode(), Reading(**options))


def refusal(document: Any, **options: Any) -> list[str]:
    with pytest.raises(SetFileRefused) as caught:
        read(document, **options)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("assertion", "validator"),
    [
        ({"type": "equals", "value": "4"}, {"type": "equals", "value": "4"}),
        ({"type": "equals", "value": 4}, {"type": "equals", "value": "4"}),
        ({"type": "contains", "value": "4"}, {"type": "contains", "value": "4"}),
        ({"type": "not-icontains", "value": "no"}, {"type": "icontains", "value": "no", "not": True}),
        ({"type": "contains-all", "value": ["a", "b"]}, {"type": "contains_all", "value": ["a", "b"]}),
        ({"type": "contains-any", "value": "a, b"}, {"type": "contains_any", "value": ["a", "b"]}),
        ({"type": "starts-with", "value": "a"}, {"type": "starts_with", "value": "a"}),
        ({"type": "regex", "value": "^a", "weight": 2}, {"type": "regex", "value": "^a", "weight": 2}),
        ({"type": "is-json"}, {"type": "is_json"}),
        ({"type": "is-json", "value": {"type": "object"}}, {"type": "json_schema", "value": {"type": "object"}}),
        ({"type": "levenshtein", "value": "a", "threshold": 3}, {"type": "levenshtein", "value": "a", "threshold": 3}),
        ({"type": "latency", "threshold": 500}, {"type": "latency", "threshold": 500}),
        ({"type": "contains", "value": "4", "metric": "maths"}, {"type": "contains", "value": "4"}),
    ],
)
def test_assertions_become_validators(assertion: dict[str, Any], validator: dict[str, Any]) -> None:
    assert read([{**TEST, "assert": [assertion]}]).items[0].validators == [validator]


@pytest.mark.parametrize(
    "assertion",
    [
        {"type": "javascript", "value": "output.length > 3"},
        {"type": "python", "value": "file://check.py"},
        {"type": "llm-rubric", "value": "is polite"},
        {"type": "g-eval", "value": "is polite", "threshold": 0.8},
        {"type": "similar", "value": "x"},
        {"type": "contains", "value": "{{expected}}"},
        {"type": "contains", "value": "x", "transform": "output.trim()"},
        {"type": "assert-set", "assert": []},
        {"type": "contains"},
        "contains",
    ],
)
def test_assertions_without_a_counterpart_are_refused_or_left_out(assertion: Any) -> None:
    test = {**TEST, "assert": [*TEST["assert"], assertion]}
    found = refusal([TEST | {"vars": {"prompt": "first"}}, test])
    assert len(found) == 1 and ", assert 2: " in found[0]
    content = read([test], skips_unknown=True)
    assert len(content.items[0].validators) == 1 and content.left_out.total() == 1


def test_a_refusal_names_the_line_of_its_test() -> None:
    text = "# heading\n- vars: {prompt: a}\n\n- vars: {prompt: b}\n  assert: [{type: llm-rubric, value: nice}]\n"
    assert refusal(text) == ["row 4, assert 1: Assertions of type llm-rubric have no counterpart here."]


def test_what_equals_asks_for_is_the_reference() -> None:
    items = read([TEST, {"vars": {"prompt": "p", "reference": "r"}, "assert": TEST["assert"]}]).items
    assert [item.references for item in items] == [["4"], ["r"]]


def test_a_config_makes_an_item_for_every_prompt_and_combination() -> None:
    document = {
        "prompts": ["Translate {{word}} to {{ language }}", "{{word}} in {{language}}?"],
        "defaultTest": {"vars": {"language": "French"}, "assert": [{"type": "max_length"}, {"type": "is-json"}][1:], "threshold": 0.5},
        "tests": [{"vars": {"word": ["cat", "dog"]}, "description": "animals"}],
    }  # fmt: skip
    content = read(document)
    assert [item.prompt for item in content.items] == [
        "Translate cat to French", "cat in French?", "Translate dog to French", "dog in French?",
    ]  # fmt: skip
    assert content.validators == [{"type": "is_json"}] and content.pass_threshold == 0.5
    assert content.items[0].notes == "animals" and content.items[0].metadata == {"vars": {"word": "cat", "language": "French"}}


def test_a_conversation_stays_one() -> None:
    prompt = '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{q}}"}]'
    item = read({"prompts": [prompt], "tests": [{"vars": {"q": 'say "hi"'}}]}).items[0]
    assert item.messages and item.messages[1] == {"role": "user", "content": 'say "hi"'}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"prompts": ["{{a | upper}}"], "tests": [{"vars": {"a": "x"}}]}, "a template that only promptfoo can fill"),
        ({"prompts": ["{{b}}"], "tests": [{"vars": {"a": "x"}}]}, "asks for {{b}}, which is no var"),
        ({"prompts": ["file://prompt.txt"], "tests": [TEST]}, "is not part of this file"),
        ({"tests": ["file://tests/*.yaml"]}, "are not part of this file"),
        ([{"vars": {"a": "x", "b": "y"}}], "Which of its vars (a, b) is the question?"),
        ([{"vars": ["a"]}], "vars: It must be an object."),
        (["text"], "are not part of this file"),
        ({"evals": []}, "It holds no tests."),
        ([{**TEST, "assert": "equals"}], "assert: It must be a list."),
        (
            [{"vars": {"prompt": [str(n) for n in range(40)], "b": [str(n) for n in range(40)]}}],
            "They make 1,600 combinations.",
        ),
        ([{**TEST, "threshold": 0.5}], "A threshold holds for a set."),
        ([{**TEST, "repeat": 3}], "row 1, repeat: It has no counterpart here."),
    ],
)
def test_what_cannot_be_read_is_refused(document: Any, said: str) -> None:
    assert said in refusal(document)[0]


def test_files_beside_it_are_read_where_that_is_allowed() -> None:
    files = {"tests/*.yaml": [("tests/a.yaml", "- vars: {prompt: one}"), ("tests/b.yaml", "- vars: {prompt: two}")]}
    content = read({"tests": ["file://tests/*.yaml"]}, files=lambda pattern: files.get(pattern, []))
    assert [item.prompt for item in content.items] == ["one", "two"]


# --- YAML --------------------------------------------------------------------------------------------------------------------
def test_words_are_read_as_yaml_1_2_reads_them() -> None:
    items = read("- vars: {prompt: no}\n- vars: {prompt: 2024-01-01}\n- vars: {prompt: 12:30}\n- vars: {prompt: on}\n").items
    assert [item.prompt for item in items] == ["no", "2024-01-01", "12:30", "on"]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n" for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "more than 500,000 values, aliases unfolded"),
        ("[" * 3000, "nested more than 50 levels"),
        ("a: " * 1 + "&a [*a]", "stands inside what it names"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("- vars: {prompt: 'a", "row 1: It is not YAML"),
        ("a: b: c", "row 1: It is not YAML"),
        ("", "holds no tests"),
    ],
)
def test_yaml_that_means_harm_is_refused(text: str, said: str) -> None:
    assert said in refusal(text)[0]


def test_images_are_not_written() -> None:
    image = made_item(row=0, image={"dataset": "d", "split": "s", "file_name": "f"})
    with pytest.raises(ValueError, match="is an image"):
        set_files.write("promptfoo", SetContent([image]))


def test_far_more_items_than_a_set_holds_are_not_made_first() -> None:
    few = [str(number) for number in range(10)]
    document = {
        "prompts": [f"{number} {{{{a}}}}{{{{b}}}}{{{{c}}}}" for number in range(10_000)],
        "tests": [{"vars": {"a": few, "b": few, "c": few}}],
    }
    assert "more than 50,000 items" in refusal(document)[0]


def test_a_long_var_is_not_repeated_without_end() -> None:
    many = [str(number) for number in range(1_000)]
    document = {"prompts": ["{{long}} {{a}}"], "tests": [{"vars": {"long": "x" * 100_000, "a": many}}]}
    assert "more than 50,000,000 characters" in refusal(document)[0]
