"""Validators and answers that mean harm: nothing hangs, nothing is fetched, nothing is lost."""

import json
import time
from typing import Any

import pytest

from predictions.validators import Budget, Claim, check, validate

CATASTROPHE, VICTIM = "^(a|aa)+$", "a" * 5000 + "b"


def timed(validators: Any, text: str, budget: Budget | None = None) -> tuple[list[dict[str, Any]], float]:
    started = time.perf_counter()
    results = validate(validators, Claim(text), budget=budget)[1]
    return results, time.perf_counter() - started


def one(kind: str, value: Any, text: str) -> dict[str, Any]:
    (result,), seconds = timed([{"type": kind, "value": value}], text)
    assert seconds < 1, "a tenth of a second is allowed; the rest is the machine's"
    return result


@pytest.mark.parametrize("pattern", [CATASTROPHE, "(a|a?)+$", "(x+x+)+y|^(?:a|aa)+$", "(?R)", "((?1)?a)+b$", "(?:a*)*(?:a*)*c"])
def test_no_expression_hangs(pattern: str) -> None:
    one("regex", pattern, VICTIM)


def test_an_expression_that_takes_too_long_is_an_error() -> None:
    result = one("regex", CATASTROPHE, VICTIM)
    assert result["outcome"] == "error" and "longer than 0.1 s" in result["message"]


def test_a_row_has_a_budget() -> None:
    results, seconds = timed([{"type": "regex", "value": CATASTROPHE}] * 50 + [{"type": "contains", "value": "a"}], VICTIM)
    assert seconds < 1
    assert {result["outcome"] for result in results[:-1]} == {"error"} and results[-1]["outcome"] == "pass"
    assert "one row" in results[-2]["message"]


def test_a_call_has_a_budget_that_its_rows_share() -> None:
    budget = Budget(0.3)
    spent = [timed([{"type": "regex", "value": CATASTROPHE}], VICTIM, budget) for _ in range(10)]
    assert sum(seconds for _, seconds in spent) < 1
    assert "one call" in spent[-1][0][0]["message"]


# --- JSON ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 90_000, "deeper than 64 levels"),
        ("[" * 90_000 + "]" * 90_000, "deeper than 64 levels"),
        ("[" * 70 + "]" * 70, "deeper than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, "deeper than 64 levels"),
        ("[" + "1," * 200_000 + "1]", "longer than 200,000 characters"),
        ("9" * 5000, "a number too long"),
    ],
    ids=["open", "deep", "just too deep", "objects", "huge", "number"],
)
@pytest.mark.parametrize(("kind", "value"), [("is_json", None), ("json_schema", {}), ("tool_call", {"name": "f"})])
def test_what_is_beyond_the_limits_is_an_error(text: str, words: str, kind: str, value: Any) -> None:
    result = one(kind, value, text)
    assert result["outcome"] == "error" and words in result["message"]


def test_arguments_as_text_have_the_same_limits() -> None:
    call = json.dumps({"name": "f", "arguments": "[" * 5000})
    result = one("tool_call", {"name": "f"}, call)
    assert result["outcome"] == "error" and "deeper than" in result["message"]


def test_64_levels_are_read() -> None:
    assert one("is_json", None, "[" * 64 + "]" * 64)["outcome"] == "pass"


@pytest.mark.parametrize("text", ["\ud800", '"\ud800"', "\x00", "﻿{}", "{" * 1000, '{"a": 1, "a": 2}', "-", "1e400"])
@pytest.mark.parametrize("kind", ["is_json", "json_schema", "tool_call", "regex", "equals"])
def test_odd_texts_cost_no_row(text: str, kind: str) -> None:
    value = {"json_schema": {}, "tool_call": {"name": "f"}, "is_json": None}.get(kind, "x")
    json.dumps(one(kind, value, text))


# --- Schemas ---------------------------------------------------------------------------------------------------------------
REMOTE = ["http://127.0.0.1:9/schema", "https://json-schema.org/draft/2020-12/schema", "file:///etc/passwd", "other.json", "/etc/passwd", "//host/x"]  # fmt: skip


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **more: Any) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.mark.parametrize("address", REMOTE)
@pytest.mark.parametrize("name", ["$ref", "$dynamicRef", "$recursiveRef"])
def test_no_reference_leaves_the_schema(no_network: None, address: str, name: str) -> None:
    schema = {"properties": {"a": {"allOf": [{name: address}]}}}
    assert "leaves the schema" in check([{"type": "json_schema", "value": schema}])[0]
    assert "leaves the schema" in check([{"type": "tool_call", "value": {"name": "f", "arguments": schema}}])[0]
    result = one("json_schema", schema, '{"a": 1}')
    assert result["outcome"] == "error" and "leaves the schema" in result["message"]


@pytest.mark.parametrize("address", REMOTE[:3])
def test_an_id_elsewhere_fetches_nothing(no_network: None, address: str) -> None:
    schema = {"$id": address, "$ref": "#/$defs/a", "$defs": {"a": {"type": "array"}}}
    assert one("json_schema", schema, "{}")["outcome"] == "fail"
    assert one("json_schema", {"$schema": "http://127.0.0.1:9/", "type": "array"}, "[]")["outcome"] == "pass"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
        {"unevaluatedProperties": False, "allOf": [{"$ref": "#"}]},
    ],
)
def test_a_schema_that_never_ends_is_an_error(schema: Any) -> None:
    result = one("json_schema", schema, "{}")
    assert result["outcome"] == "error" and result["message"] == "The schema refers to itself without end."


def test_references_that_multiply_are_stopped() -> None:
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    result = one("json_schema", {"$ref": "#/$defs/d0", "$defs": doubling | {"d40": True}}, "{}")
    assert result["outcome"] == "error" and "longer than" in result["message"]


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ({"pattern": CATASTROPHE}, VICTIM),
        ({"patternProperties": {CATASTROPHE: {}}}, {VICTIM: 1}),
        ({"patternProperties": {"^x": {}, CATASTROPHE: {}}, "additionalProperties": False}, {VICTIM: 1}),
        ({"propertyNames": {"pattern": CATASTROPHE}}, {VICTIM: 1}),
        ({"unevaluatedProperties": False, "$ref": "#/$defs/a", "$defs": {"a": {"patternProperties": {CATASTROPHE: {}}}}}, {VICTIM: 1}),
    ],
)  # fmt: skip
def test_patterns_inside_schemas_have_the_same_limit(schema: Any, document: Any) -> None:
    assert one("json_schema", schema, json.dumps(document))["outcome"] == "error"


def test_many_objects_are_compared_in_one_pass() -> None:
    text = "[" + ",".join(f'{{"n":{n}}}' for n in range(10_000)) + "]"
    assert one("json_schema", {"uniqueItems": True}, text)["outcome"] == "pass"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["x" * 60_000]}, "longer than 50,000 characters"),
        ({"properties": {"a": {"pattern": "a" * 3000}}}, "a pattern of the schema is longer than"),
        ({"$schema": 5}, "$schema must be a text"),
        ({"$id": 5}, "is not of type 'string'"),
        ({"unevaluatedProperties": False, "patternProperties": {"a": {}}}, "use additionalProperties"),
    ],
)
def test_schemas_that_are_not_taken(schema: Any, words: str) -> None:
    assert words in check([{"type": "json_schema", "value": schema}])[0]


def test_a_deep_schema_is_not_taken() -> None:
    schema: Any = {}
    for _ in range(500):
        schema = {"not": schema}
    assert "nested deeper than 64 levels" in check([{"type": "json_schema", "value": schema}])[0]


@pytest.mark.parametrize("value", [None, 5, 1e308, True, [], {}, [[]], {"a": {}}, "x" * 100_000, "\ud800", float("nan")])
@pytest.mark.parametrize("kind", ["equals", "contains_all", "regex", "max_length", "levenshtein", "score", "latency",
                                  "finish_reason", "is_json", "json_schema", "tool_call", "label_is", "contains_objects", "iou_at_least"])  # fmt: skip
def test_values_of_every_kind_are_checked_and_judged(kind: str, value: Any) -> None:
    validator = {"type": kind, "value": value, "threshold": value, "min": value, "weight": 1}
    assert isinstance(check([validator]), list)
    results, _ = timed([validator], "text")
    assert results[0]["outcome"] in ("pass", "fail", "error")


def test_a_long_answer_is_not_compared_edit_by_edit() -> None:
    (result,), seconds = timed([{"type": "levenshtein", "value": "x", "threshold": 5}], "y" * 900_000)
    assert result["outcome"] == "error" and seconds < 1
