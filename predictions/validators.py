"""Validators: what an answer must satisfy, one structured result each. A validator that fails to run is `error`, never `fail`.

A validator is {"type": name, "value": ..., "not": bool}. A table holds them; a new one is one function and one line.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex

REGEX_SECONDS = 0.1


def equals(prediction: str, value: str) -> bool:
    return prediction == value


def iequals(prediction: str, value: str) -> bool:
    return prediction.casefold() == value.casefold()


def contains(prediction: str, value: str) -> bool:
    return value in prediction


def icontains(prediction: str, value: str) -> bool:
    return value.casefold() in prediction.casefold()


def starts_with(prediction: str, value: str) -> bool:
    return prediction.startswith(value)


def matches(prediction: str, value: str) -> bool:
    return regex.search(value, prediction, timeout=REGEX_SECONDS) is not None


def is_json(prediction: str, value: Any) -> bool:
    try:
        json.loads(prediction)
    except (ValueError, RecursionError):
        return False
    return True


def min_length(prediction: str, value: int) -> bool:
    return len(prediction) >= value


def max_length(prediction: str, value: int) -> bool:
    return len(prediction) <= value


VALIDATORS: dict[str, tuple[Callable[[str, Any], bool], type | None]] = {
    "equals": (equals, str),
    "iequals": (iequals, str),
    "contains": (contains, str),
    "icontains": (icontains, str),
    "starts_with": (starts_with, str),
    "regex": (matches, str),
    "is_json": (is_json, None),
    "min_length": (min_length, int),
    "max_length": (max_length, int),
}


def check(validators: Any) -> list[str]:
    """What is wrong with a list of validators, in words; empty where nothing is."""
    return [f"validator {number}: {reason}" for number, given in enumerate(validators, 1) if (reason := _wrong(given))]


def _wrong(given: Any) -> str | None:
    if not isinstance(given, dict) or given.get("type") not in VALIDATORS:
        return f"must be an object whose type is one of {', '.join(VALIDATORS)}."
    kind = VALIDATORS[given["type"]][1]
    if kind is not None and (not isinstance(given.get("value"), kind) or isinstance(given.get("value"), bool)):
        return f"{given['type']} needs a value, a {'text' if kind is str else 'whole number'}."
    if given["type"] == "regex":
        try:
            regex.compile(given["value"])
        except regex.error as error:
            return f"the regular expression does not compile: {error}."
    return None


def validate(validators: Sequence[Mapping[str, Any]], prediction: str) -> tuple[bool | None, list[dict[str, Any]]]:
    """Whether all passed (None where none could be run), and the result of each: `pass`, `fail` or `error` with a message."""
    results = [_result(validator, prediction) for validator in validators]
    outcomes = {result["outcome"] for result in results}
    passed = False if "fail" in outcomes else None if "error" in outcomes or not results else True
    return passed, results


def _result(validator: Mapping[str, Any], prediction: str) -> dict[str, Any]:
    named = {"type": validator.get("type"), "value": validator.get("value"), "not": bool(validator.get("not"))}
    try:
        holds = VALIDATORS[validator["type"]][0](prediction, validator.get("value"))
    except TimeoutError:
        return {**named, "outcome": "error", "message": f"The expression took longer than {REGEX_SECONDS} s."}
    except Exception as error:  # a validator must never cost a row
        return {**named, "outcome": "error", "message": f"{type(error).__name__}: {error}"}
    return {**named, "outcome": "pass" if holds != named["not"] else "fail"}
