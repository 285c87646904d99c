"""Every validator: what passes, what fails, what is an error, and what is wrong with it as it is written."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from predictions.scoring import score
from predictions.validators import IMAGE, TEXT, VALIDATORS, Claim, Kind, Verdict, applying, check, plugins, types, validate

CLAIM = Claim("The capital is Paris.", score("The capital is Paris.", "The capital is Rome."), {"reward": 0.7}, 12.5, "eos")
CALL = '{"name": "search", "arguments": {"city": "Paris"}}'
CITY = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}, "additionalProperties": False}


def judged(validator: dict[str, Any], claim: Claim | str = CLAIM) -> dict[str, Any]:
    claim = Claim(claim) if isinstance(claim, str) else claim
    return validate([validator], claim)[1][0]


def written(kind: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": kind, **({} if value is None else {"value": value}), **more}


TABLE = [
    (written("equals", "The capital is Paris."), "pass"), (written("equals", "the capital is paris."), "fail"),
    (written("iequals", "THE CAPITAL IS PARIS."), "pass"), (written("iequals", "Paris"), "fail"),
    (written("contains", "Paris"), "pass"), (written("contains", "paris"), "fail"),
    (written("icontains", "PARIS"), "pass"), (written("icontains", "Rome"), "fail"),
    (written("contains_all", ["Paris", "capital"]), "pass"), (written("contains_all", ["Paris", "Rome"]), "fail"),
    (written("contains_any", ["Paris", "Rome"]), "pass"), (written("contains_any", ["Lyon", "Rome"]), "fail"),
    (written("starts_with", "The"), "pass"), (written("starts_with", "Paris"), "fail"),
    (written("regex", r"P\w+s"), "pass"), (written("regex", "^Paris"), "fail"),
    (written("max_length", 21), "pass"), (written("max_length", 20), "fail"),
    (written("min_length", 21), "pass"), (written("min_length", 22), "fail"),
    (written("max_length", 4, unit="words"), "pass"), (written("max_length", 3, unit="words"), "fail"),
    (written("min_length", 4, unit="words"), "pass"), (written("min_length", 5, unit="words"), "fail"),
    (written("levenshtein", "The capital is Parma.", threshold=2), "pass"),
    (written("levenshtein", "The capital is Parma.", threshold=1), "fail"),
    (written("score", "reward", threshold=0.7), "pass"), (written("score", "reward", threshold=0.8), "fail"),
    (written("score", "reward", min=0.5, max=0.8), "pass"), (written("score", "reward", max=0.5), "fail"),
    (written("score", "char_error_rate", threshold=0.5), "pass"), (written("score", "char_error_rate", threshold=0.1), "fail"),
    (written("score", "chrf", min=10), "pass"), (written("score", "exact_match", threshold=1), "fail"),
    (written("score", "helpfulness", threshold=1), "error"),
    (written("latency", 12.5), "pass"), (written("latency", threshold=12), "fail"),
    (written("finish_reason", "eos"), "pass"), (written("finish_reason", ["length", "stop"]), "fail"),
    (written("is_json"), "fail"), (written("json_schema", {"type": "object"}), "fail"),
    (written("tool_call", {"name": "search"}), "fail"),
]  # fmt: skip


@pytest.mark.parametrize(("validator", "outcome"), TABLE, ids=str)
def test_each_says_what_it_should(validator: dict[str, Any], outcome: str) -> None:
    assert check([validator], TEXT) == []
    assert judged(validator)["outcome"] == outcome


def test_the_table_above_is_whole() -> None:
    assert {validator["type"] for validator, _ in TABLE} == set(types(TEXT))


@pytest.mark.parametrize(("validator", "outcome"), TABLE, ids=str)
def test_each_is_turned_round(validator: dict[str, Any], outcome: str) -> None:
    turned = {"pass": "fail", "fail": "pass", "error": "error"}[outcome]
    by_name, by_key = validator | {"type": f"not_{validator['type']}"}, validator | {"not": True}
    assert check([by_name, by_key]) == []
    assert judged(by_name) == judged(by_key) and judged(by_key)["outcome"] == turned
    assert judged(by_key)["type"] == f"not_{validator['type']}"
    assert judged(by_name | {"not": True})["outcome"] == outcome


@pytest.mark.parametrize(("validator", "outcome"), TABLE, ids=str)
def test_what_does_not_pass_says_why(validator: dict[str, Any], outcome: str) -> None:
    result = judged(validator)
    assert bool(result["message"]) is (outcome != "pass") and isinstance(result["detail"], dict)


def test_figures_stand_in_the_detail() -> None:
    assert judged(written("levenshtein", "The capital is Parma.", threshold=1))["detail"] == {"edits": 2}
    assert judged(written("contains_all", ["Paris", "Rome"]))["detail"] == {"missing": ["Rome"]}
    assert judged(written("score", "reward", threshold=0.8)) | {"detail": 0} == {
        "type": "score", "value": "reward", "threshold": 0.8, "outcome": "fail",
        "message": "reward is 0.7; asked for is at least 0.8.", "detail": 0,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["latency", "finish_reason", "score"])
def test_what_the_row_does_not_tell_is_an_error(kind: str) -> None:
    asked = {"latency": written("latency", 5), "finish_reason": written("finish_reason", "eos")}
    assert judged(asked.get(kind, written("score", "chrf", threshold=5)), "text")["outcome"] == "error"


# --- Documents -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["{}", "[1, 2.5, null, true]", '"a"', "0", " {}\n"])
def test_documents_are_json(text: str) -> None:
    assert judged(written("is_json"), text)["outcome"] == "pass"


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "NaN", '{"a": Infinity}', "[1,]", "{} {}", "```json\n{}\n```"])
def test_what_is_no_json_fails(text: str) -> None:
    assert judged(written("is_json"), text)["outcome"] == "fail"


@pytest.mark.parametrize(
    ("schema", "text", "outcome"),
    [
        (CITY, '{"city": "Paris"}', "pass"),
        (CITY, '{"city": 5}', "fail"),
        (CITY, '{"city": "Paris", "more": 1}', "fail"),
        ({"$defs": {"n": {"minimum": 3}}, "items": {"$ref": "#/$defs/n"}}, "[3, 4]", "pass"),
        ({"$defs": {"n": {"minimum": 3}}, "items": {"$ref": "#/$defs/n"}}, "[2]", "fail"),
        ({"type": "object", "additionalProperties": {"$ref": "#"}}, '{"a": {"b": {}}}', "pass"),
        ({"type": "object", "additionalProperties": {"$ref": "#"}}, '{"a": {"b": 1}}', "fail"),
        ({"patternProperties": {"^s_": {"type": "string"}}, "additionalProperties": False}, '{"s_a": "x"}', "pass"),
        ({"patternProperties": {"^s_": {"type": "string"}}, "additionalProperties": False}, '{"s_a": 1}', "fail"),
        ({"patternProperties": {"^s_": {"type": "string"}}, "additionalProperties": False}, '{"n_a": 1}', "fail"),
        ({"pattern": "^[a-z]+$"}, '"abc"', "pass"),
        ({"pattern": "^[a-z]+$"}, '"ABC"', "fail"),
        ({"uniqueItems": True}, "[1, true, \"1\", {\"a\": 1}]", "pass"),
        ({"uniqueItems": True}, '[{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]', "fail"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "additionalItems": False}, '["a", 1]', "fail"),
    ],
)  # fmt: skip
def test_schemas(schema: Any, text: str, outcome: str) -> None:
    validator = written("json_schema", schema)
    assert check([validator]) == [] and judged(validator, text)["outcome"] == outcome


def test_the_first_errors_of_a_schema_are_told() -> None:
    result = judged(written("json_schema", {"items": {"type": "string"}}), str(list(range(50))))
    assert result["message"] == "0: 0 is not of type 'string'" and len(result["detail"]["errors"]) == 5


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (CALL, "pass"),
        ('{"name": "search", "arguments": "{\\"city\\": \\"Paris\\"}"}', "pass"),
        ('{"type": "function", "function": {"name": "search", "arguments": {"city": "Paris"}}}', "pass"),
        (f'{{"content": null, "tool_calls": [{{"id": "1", "function": {CALL}}}]}}', "pass"),
        (f'[{{"name": "other"}}, {CALL}]', "pass"),
        ('{"name": "find", "arguments": {"city": "Paris"}}', "fail"),
        ('{"name": "search"}', "fail"),
        ('{"name": "search", "arguments": {"city": 5}}', "fail"),
        ('{"name": "search", "arguments": "city=Paris"}', "fail"),
        ('{"name": 5}', "fail"),
        ("[]", "fail"),
        ("5", "fail"),
        ("search(Paris)", "fail"),
    ],
)
def test_tool_calls(text: str, outcome: str) -> None:
    validator = written("tool_call", {"name": "search", "arguments": CITY})
    assert check([validator]) == [] and judged(validator, text)["outcome"] == outcome


def test_a_tool_call_may_be_asked_for_by_name_alone() -> None:
    assert judged(written("tool_call", {"name": "search"}), '{"name": "search"}')["outcome"] == "pass"


# --- Together --------------------------------------------------------------------------------------------------------------
YES, NO, UNKNOWN = written("contains", "Paris"), written("contains", "Rome"), written("unheard-of")


@pytest.mark.parametrize(
    ("validators", "threshold", "passed"),
    [
        ([], None, None),
        ([YES], None, True),
        ([YES, NO], None, False),
        ([YES, UNKNOWN], None, None),
        ([NO, UNKNOWN], None, False),
        ([UNKNOWN], None, None),
        ([UNKNOWN], 0.0, None),
        ([YES, NO], 0.5, True),
        ([YES, NO], 0.51, False),
        ([YES | {"weight": 3}, NO], 0.75, True),
        ([YES, NO | {"weight": 3}], 0.5, False),
        ([YES, UNKNOWN], 0.5, True),
        ([YES, NO, UNKNOWN], 0.5, None),
        ([YES, NO, NO, UNKNOWN], 0.75, False),
        ([YES | {"weight": 0.1}] * 3, 1.0, True),
        ([NO], 0.0, True),
    ],
)
def test_a_row_passes_by_its_share_of_weight(validators: list[Any], threshold: float | None, passed: bool | None) -> None:
    assert validate(validators, CLAIM, threshold)[0] is passed


def test_a_weight_is_told_with_the_result() -> None:
    assert judged(YES | {"weight": 3})["weight"] == 3


def test_a_long_value_is_not_stored_with_every_row() -> None:
    result = judged(written("json_schema", {"enum": ["x" * 5000]}), "{}")
    assert isinstance(result["value"], str) and len(result["value"]) == 1001


def test_a_crash_is_an_error_and_keeps_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*given: Any) -> Verdict:
        raise ZeroDivisionError("no")

    monkeypatch.setitem(VALIDATORS, "crash", Kind("", crash, lambda given: None))
    passed, results = validate([written("not_crash"), YES, NO], CLAIM)
    assert [result["outcome"] for result in results] == ["error", "pass", "fail"] and passed is False
    assert results[0]["message"] == "ZeroDivisionError: no"


@pytest.mark.parametrize(
    "validator", [{}, {"type": None}, {"type": ["x"]}, {"type": "equals"}, {"type": "contains_all", "value": 5}, {"type": "regex", "value": "("},
                  {"type": "levenshtein", "value": "x"}, {"type": "json_schema", "value": 5}, {"type": "equals", "value": "x", "weight": "much"}]
)  # fmt: skip
def test_what_should_not_have_been_stored_is_an_error(validator: dict[str, Any]) -> None:
    assert judged(validator)["outcome"] == "error" and judged(validator)["message"]


# --- Checking --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("validator", "words"),
    [
        ("equals", "must be an object whose type is one of equals, "),
        ({"type": 5}, "must be an object whose type is one of"),
        ({"type": "contans", "value": "x"}, "must be an object whose type is one of"),
        ({"type": "not_", "value": "x"}, "must be an object whose type is one of"),
        ({"type": "contains"}, "contains needs a value, a text"),
        ({"type": "contains", "value": ""}, "contains needs a value, a text of 1"),
        ({"type": "contains", "value": 5}, "contains needs a value, a text"),
        ({"type": "contains", "value": "x", "treshold": 1}, "contains does not know 'treshold'; it knows type, value, not, weight."),
        ({"type": "contains", "value": "x", "weight": 0}, "weight must be a number above 0"),
        ({"type": "contains", "value": "x", "weight": True}, "weight must be a number above 0"),
        ({"type": "contains", "value": "x", "weight": float("nan")}, "weight must be a number above 0"),
        ({"type": "contains", "value": "x", "not": "yes"}, "not must be true or false."),
        ({"type": "contains_any", "value": "x"}, "needs a value, a list of 1 to 100 texts."),
        ({"type": "contains_all", "value": []}, "needs a value, a list of 1 to 100 texts."),
        ({"type": "contains_all", "value": [5]}, "needs a value, a list of 1 to 100 texts."),
        ({"type": "regex", "value": "("}, "does not compile: missing )"),
        ({"type": "regex", "value": "a" * 3000}, "a regular expression of 1 to 2,000 characters"),
        ({"type": "max_length", "value": "5"}, "needs a value, a whole number."),
        ({"type": "max_length", "value": True}, "value must be a whole number"),
        ({"type": "min_length", "value": -1}, "value must be a whole number from 0"),
        ({"type": "min_length", "value": 5, "unit": "lines"}, "unit must be characters or words."),
        ({"type": "levenshtein", "value": "x"}, "needs a threshold, the most edits"),
        ({"type": "levenshtein", "value": "x", "threshold": 1.5}, "threshold must be a whole number"),
        ({"type": "score", "value": "chrf"}, "needs a threshold, or min and max."),
        ({"type": "score", "threshold": 1}, "needs a value, the name of a score: exact_match"),
        ({"type": "score", "value": "chrf", "threshold": 1, "min": 0}, "takes either a threshold, or min and max."),
        ({"type": "score", "value": "chrf", "min": 2, "max": 1}, "min is above max."),
        ({"type": "score", "value": "chrf", "min": "2"}, "min must be a number"),
        ({"type": "latency"}, "needs either a value or a threshold: the most milliseconds."),
        ({"type": "latency", "value": -5}, "value must be a number from 0"),
        ({"type": "finish_reason", "value": 5}, "needs a value, such as stop or eos"),
        ({"type": "is_json", "value": {}}, "is_json takes no value."),
        ({"type": "json_schema", "value": "object"}, "needs a value, a JSON schema as an object."),
        ({"type": "json_schema", "value": {"type": "objekt"}}, "the schema does not hold: at type: 'objekt' is not valid"),
        ({"type": "json_schema", "value": {"$ref": "#/$defs/a"}}, "$ref '#/$defs/a' points to nothing in the schema."),
        ({"type": "json_schema", "value": {"properties": {"a": {"pattern": "("}}}}, "'(' does not compile"),
        ({"type": "tool_call", "value": "search"}, 'needs a value, as in {"name": "search"'),
        ({"type": "tool_call", "value": {"name": "search", "args": {}}}, "its value holds 'args'; known are name and arguments."),
        ({"type": "tool_call", "value": {"name": "search", "arguments": {"type": 5}}}, "its arguments: the schema does not hold"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(validator: Any, words: str) -> None:
    (said,) = check([YES, validator])
    assert said.startswith("validator 2: ") and words in said


@pytest.mark.parametrize(
    ("given", "words"), [({}, "must be a list"), ("equals: x", "must be a list"), ([YES] * 101, "up to 100")]
)
def test_a_list_is_a_list_of_bearable_length(given: Any, words: str) -> None:
    assert words in check(given)[0]


def test_texts_and_images_are_told_apart() -> None:
    assert "label_is is for images, not for texts." in check([written("label_is", "cat")], TEXT)[0]
    assert "contains is for texts, not for images." in check([YES], IMAGE)[0]
    assert applying([YES, written("label_is", "cat"), UNKNOWN], IMAGE) == [written("label_is", "cat"), UNKNOWN]
    assert judged(written("label_is", "cat"))["message"] == "It is for images only."


# --- Of others -------------------------------------------------------------------------------------------------------------
def judge_polite(claim: Claim, given: Any, seconds: float) -> Verdict:
    return Verdict("please" in claim.prediction, "It does not say please.")


POLITE = Kind("It says please.", judge_polite, lambda given: None)
NO_KIND = "polite"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Packages that name validators under our group."""
    targets = {
        "polite": f"{__name__}:POLITE",
        "gone": "no.such_module:KIND",
        "strange": f"{__name__}:NO_KIND",
        "equals": f"{__name__}:POLITE",
    }
    points = [EntryPoint(name, value, plugins.GROUP) for name, value in targets.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == plugins.GROUP else [])
    plugins.found.cache_clear()
    plugins.load.cache_clear()
    yield
    plugins.found.cache_clear()
    plugins.load.cache_clear()


def test_others_plug_in(installed: None) -> None:
    assert check([written("polite", level=3), written("not_polite")], TEXT) == [] and types(TEXT)[-1] == "polite"
    assert judged(written("polite"), "please")["outcome"] == "pass"
    assert judged(written("polite"), "now")["message"] == "It does not say please."
    assert judged(written("not_polite"), "please")["outcome"] == "fail"


def test_ours_keep_their_names(installed: None) -> None:
    assert judged(written("equals", "please"), "please!")["outcome"] == "fail"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("gone", "ModuleNotFoundError: No module named 'no'"), ("strange", "is no predictions.validators.Kind")],
)
def test_a_plugin_that_does_not_load_is_an_error_with_its_reason(installed: None, name: str, reason: str) -> None:
    result = judged(written(name))
    assert result["outcome"] == "error" and reason in result["message"]
    assert reason in check([written(name)])[0]
    assert validate([written(f"not_{name}"), YES], CLAIM)[0] is None
