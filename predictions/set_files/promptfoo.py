"""Test files of promptfoo: a list of tests, or a config with prompts, defaultTest and tests. Pure.

A test becomes an item for each prompt and each combination of its list-valued vars. Of its assertions those with a counterpart
become validators; the others are problems, or are left out and counted where the reader was told to. Its metadata may hold key,
references, tags and weight, which writing puts there.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from predictions.answers import is_conversation
from predictions.set_files.assertions import as_assertion, as_validator
from predictions.set_files.base import (
    BadField,
    ItemRecord,
    Problem,
    Reading,
    SetContent,
    SetFileRefused,
    checked_references,
    checked_threshold,
    made_item,
)
from predictions.set_files.guarded_yaml import YamlRefused, dump, load

QUESTION_VARS = ("prompt", "messages", "question", "query", "input", "instruction", "text")
REFERENCE_VARS = ("reference", "references", "ground_truth", "expected", "expected_output", "answer", "target")
OWN_METADATA = ("key", "references", "tags", "weight", "image")
# What a test may hold without meaning anything to a set of questions.
HARMLESS = {"description", "vars", "assert", "metadata", "threshold", "options", "provider", "providers"}
PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
TEMPLATE = re.compile(r"\{\{|\{%|\{#")
MOST_COMBINATIONS = 1_000
LARGEST_MADE = 50_000_000  # characters: a long var, an alias or a prompt is written down once and made many times
LONGEST_PATTERN = 400
IMAGES = "promptfoo has no images; export JSON Lines instead."


def read(text: str, reading: Reading) -> SetContent:
    content = SetContent()
    document, lines = _document(text, reading)
    if isinstance(document, list):
        document = {"tests": document}
    if not isinstance(document, dict) or "tests" not in document:
        reading.refuse("It holds no tests.", "Give a list of tests, or a config with `tests`.")
        return content
    prompts = list(_prompts(document.get("prompts"), reading))
    default = document.get("defaultTest") or {}
    if not isinstance(default, dict):
        reading.refuse("It must be an object.", "Name vars and assert that hold for every test.", field="defaultTest")
        default = {}
    _read_default(default, content, reading)
    made = 0
    for row, test in _tests(document["tests"], lines, reading):
        for item in _items(test, default, prompts, row, reading):
            content.add(item)
            made += len(json.dumps([item.prompt, item.messages, item.references, item.validators, item.metadata]))
            if made > LARGEST_MADE:
                reason = f"The items that its tests make hold more than {LARGEST_MADE:,} characters."
                raise SetFileRefused([Problem(reason, "Split it, or repeat fewer long vars.", row)])
    return content


def _document(text: str, reading: Reading) -> tuple[Any, list[int]]:
    try:
        return load(text)
    except YamlRefused as error:
        reading.refuse(str(error), "Correct the file.", error.line)
        return {"tests": []}, []


def _tests(given: Any, lines: list[int], reading: Reading) -> Iterator[tuple[int, Any]]:
    """Each test with the line it begins on; those of other files with the line there."""
    for number, test in enumerate(given if isinstance(given, list) else [given]):
        row = lines[number] if number < len(lines) else 0
        path = test.get("file") if isinstance(test, dict) else test
        if not isinstance(path, str):
            yield row, test
            continue
        found = reading.files(path.removeprefix("file://")[:LONGEST_PATTERN])
        if not found:
            remedy = (
                "Import the test files themselves, or use manage.py import_prediction_set, which reads files beside this one."
            )
            reading.refuse(f"The tests in {path!r} are not part of this file.", remedy, row, "tests")
        for name, text in found:
            if not name.lower().endswith((".yaml", ".yml")):
                reading.refuse(f"{name} is no YAML file.", "Import it by itself.", row, "tests")
                continue
            document, inner = _document(text, reading)
            if not isinstance(document, list):
                reading.refuse(f"{name} is no list of tests.", "Import it by itself.", row, "tests")
                continue
            yield from zip(inner, document, strict=False)


def _prompts(given: Any, reading: Reading) -> Iterator[Any]:
    """Texts with {{placeholders}}, or conversations."""
    for prompt in given if isinstance(given, list) else [given] if given is not None else []:
        raw = prompt.get("raw", prompt.get("id")) if isinstance(prompt, dict) else prompt
        if isinstance(raw, str) and raw.startswith("file://"):
            found = reading.files(raw.removeprefix("file://")[:LONGEST_PATTERN])
            texts = [text for name, text in found if name.lower().endswith((".txt", ".json", ".md"))]
            if not texts:
                reading.refuse(f"The prompt {raw!r} is not part of this file.", "Write the prompts into it.", field="prompts")
            yield from (text.strip() for text in texts)
        elif isinstance(raw, str):
            yield raw
        else:
            reading.refuse("A prompt must be a text.", "Write texts with {{placeholders}}.", field="prompts")


def _read_default(default: Mapping[str, Any], content: SetContent, reading: Reading) -> None:
    """Assertions of every test are the set's validators; a threshold is the set's."""
    content.validators = [found for found, _ in _validators(default.get("assert"), 0, "defaultTest.assert", reading)]
    try:
        content.pass_threshold = checked_threshold(default.get("threshold"))
    except BadField as bad:
        reading.refuse(str(bad), bad.remedy, field="defaultTest.threshold")


def _validators(given: Any, row: int, field: str, reading: Reading) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Validators with the text that their assertion holds to be right, where it names one."""
    if given is None:
        return
    if not isinstance(given, list):
        reading.refuse("It must be a list.", "Write a list of assertions.", row, field)
        return
    for number, assertion in enumerate(given, start=1):
        place = f"{field} {number}"
        if isinstance(assertion, dict) and assertion.get("type") == "assert-set":
            reading.leave_out("assert-set", "Sets of assertions have no counterpart here.", row, place)
            continue
        mapped = as_validator(assertion)
        if isinstance(mapped, str):
            kind = str(assertion.get("type"))[:60] if isinstance(assertion, dict) else "assertion"
            reading.leave_out(kind, mapped, row, place)
        else:
            yield mapped, mapped["value"] if assertion["type"] == "equals" else None


def _items(test: Any, default: Mapping[str, Any], prompts: list[Any], row: int, reading: Reading) -> Iterator[ItemRecord]:
    if not isinstance(test, dict):
        reading.refuse("A test must be an object.", "Give it vars and assert.", row)
        return
    given = {**_object(default.get("vars")), **_object(test.get("vars"))}
    try:
        if not isinstance(test.get("vars", {}), dict):
            raise BadField("vars", "It must be an object.", "Name the variables of the prompt.")
        for name in test.keys() - HARMLESS:
            reading.leave_out(f"{name} of a test", "It has no counterpart here.", row, str(name))
        if test.get("threshold") is not None:
            reading.leave_out("threshold of a test", "A threshold holds for a set.", row, "threshold")
        checks = list(_validators(test.get("assert"), row, "assert", reading))
        for values in _combinations(given):
            for prompt in prompts or [None]:
                yield _item(test, values, prompt, checks, row)
    except BadField as bad:
        reading.refuse(str(bad), bad.remedy, row, bad.name)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _combinations(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the vars that hold lists of texts; a conversation is one value."""
    listed = {name: value for name, value in given.items() if _is_choice(name, value)}
    count = 1
    for value in listed.values():
        count *= len(value)
    if count > MOST_COMBINATIONS:
        raise BadField("vars", f"They make {count:,} combinations.", f"Up to {MOST_COMBINATIONS:,} are read from one test.")
    for chosen in itertools.product(*listed.values()):
        yield {**given, **dict(zip(listed, chosen, strict=True))}


def _is_choice(name: str, value: Any) -> bool:
    return isinstance(value, list) and bool(value) and name not in REFERENCE_VARS and not is_conversation(value)


def _item(test: dict[str, Any], values: dict[str, Any], prompt: Any, checks: list[Any], row: int) -> ItemRecord:
    own = _object(test.get("metadata"))
    asked, used = _rendered(prompt, values) if prompt is not None else _asked(values)
    kept = {name: value for name, value in values.items() if name not in {used, *REFERENCE_VARS}}
    metadata = {name: value for name, value in own.items() if name not in OWN_METADATA}
    references = own.get("references") or next((values[name] for name in REFERENCE_VARS if values.get(name)), None)
    if references is None:
        references = [right for validator, right in checks if right is not None and not validator.get("not")][:1]
    return made_item(
        row=row,
        key=own.get("key"),
        **asked,
        references=checked_references(references),
        validators=[validator for validator, _ in checks],
        tags=own.get("tags"),
        weight=own.get("weight"),
        notes=test.get("description"),
        metadata={**metadata, **({"vars": kept} if kept else {})},
    )


def _asked(values: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The question of a test without prompts: the var that is named like one, or the only one."""
    asking = [name for name in values if name not in REFERENCE_VARS]
    name = next((name for name in QUESTION_VARS if values.get(name) is not None), asking[0] if len(asking) == 1 else None)
    if name is None:
        known = ", ".join(map(str, asking)) or "none"
        raise BadField(
            "vars", f"Which of its vars ({known}) is the question?", "Name it prompt, or add prompts with {{placeholders}}."
        )
    return _as_question(values[name]), name


def _as_question(value: Any) -> dict[str, Any]:
    """A text, or a conversation, also one in JSON."""
    if is_conversation(value):
        return {"messages": value}
    text = _as_text(value)
    if text.lstrip().startswith("["):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        if is_conversation(parsed):
            return {"messages": parsed}
    return {"prompt": text}


def _rendered(prompt: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The prompt with its placeholders filled. A conversation alone in its placeholder stays one."""
    whole = PLACEHOLDER.fullmatch(prompt.strip())
    if whole and whole[1] in values:
        return _as_question(values[whole[1]]), whole[1]
    in_json = prompt.lstrip().startswith("[")

    def fill(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise BadField("vars", f"The prompt asks for {{{{{found[1]}}}}}, which is no var of the test.", "Add the var.")
        text = _as_text(values[found[1]])
        return json.dumps(text)[1:-1] if in_json else text

    if TEMPLATE.search(PLACEHOLDER.sub("", prompt)):
        remedy = "Write the prompt with plain {{placeholders}}, without filters, loops and conditions."
        raise BadField("prompts", "The prompt is a template that only promptfoo can fill.", remedy)
    return _as_question(PLACEHOLDER.sub(fill, prompt)), ""


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


# --- Writing -----------------------------------------------------------------------------------------------------------------
def write(content: SetContent) -> str:
    """A config that promptfoo can run once it has providers."""
    document: dict[str, Any] = {"prompts": ["{{prompt}}"]}
    default: dict[str, Any] = {}
    if content.validators:
        default["assert"] = [as_assertion(validator) for validator in content.validators]
    if content.pass_threshold is not None:
        default["threshold"] = content.pass_threshold
    if default:
        document["defaultTest"] = default
    document["tests"] = [_as_test(item) for item in content.items]
    return dump(document)


def _as_test(item: ItemRecord) -> dict[str, Any]:
    if item.image is not None:
        raise BadField("image", f"{item.key} is an image.", IMAGES)
    test: dict[str, Any] = {"description": item.notes} if item.notes else {}
    question = item.prompt if item.messages is None else json.dumps(item.messages, ensure_ascii=False)
    others = item.metadata.get("vars")
    test["vars"] = {**(others if isinstance(others, dict) else {}), "prompt": question}
    if item.validators:
        test["assert"] = [as_assertion(validator) for validator in item.validators]
    metadata = {name: value for name, value in item.metadata.items() if name != "vars"}
    metadata |= {"key": item.key, "references": item.references}
    if item.tags:
        metadata["tags"] = item.tags
    if item.weight != 1.0:
        metadata["weight"] = item.weight
    test["metadata"] = metadata
    return test
