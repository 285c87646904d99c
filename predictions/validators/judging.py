"""Checking validators that people write, and holding claims against them."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from predictions.validators import documents, images, plugins, texts
from predictions.validators.base import IMAGE, TEXT, Claim, ImageClaim, Kind, Unrunnable, is_number

# Of the definitions below; a change of what any of them means changes it. `manage.py rescore` judges a history anew.
VERSION = "1"
NOT = "not_"
MOST_VALIDATORS = 100
ONE_SECONDS, ROW_SECONDS, CALL_SECONDS = 0.1, 0.25, 10.0
LARGEST_WEIGHT = 1e6
LONGEST_MESSAGE = 500
LONGEST_VALUE = 1_000

VALIDATORS: dict[str, Kind] = texts.KINDS | documents.KINDS | images.KINDS


def find(kind: Any) -> tuple[Kind | None, bool]:
    """The kind of a type, of ours or of a plugin, and whether `not_` turns it round."""
    if not isinstance(kind, str):
        return None, False
    name = kind.removeprefix(NOT)
    return VALIDATORS.get(name) or plugins.load(name), name != kind


def types(applies_to: str) -> list[str]:
    """The names of the types for texts or for images, those of plugins last."""
    mine = [name for name, kind in VALIDATORS.items() if kind.applies_to == applies_to]
    theirs = [name for name in sorted(plugins.found().keys() - VALIDATORS.keys()) if _applies(plugins.load(name), applies_to)]
    return mine + theirs


def _applies(kind: Kind | None, applies_to: str) -> bool:
    return kind is not None and kind.applies_to == applies_to


def applying(validators: Iterable[Mapping[str, Any]], applies_to: str) -> list[Any]:
    """Of a set's validators those for texts or for images; what nobody knows stays, and shows as an error."""
    kinds = [(validator, find(validator.get("type"))[0]) for validator in validators]
    return [validator for validator, kind in kinds if kind is None or kind.applies_to in ("", applies_to)]


# --- Checking --------------------------------------------------------------------------------------------------------
def check(validators: Any, applies_to: str | None = None) -> list[str]:
    """What is wrong with a list of validators, in words; empty where nothing is. With `applies_to`, those of the other are too."""
    if not isinstance(validators, list):
        return ["validators must be a list."]
    if len(validators) > MOST_VALIDATORS:
        return [f"there are {len(validators):,} validators; up to {MOST_VALIDATORS} fit."]
    return [
        f"validator {number}: {reason}" for number, given in enumerate(validators, 1) if (reason := _wrong(given, applies_to))
    ]


def _wrong(given: Any, applies_to: str | None) -> str | None:
    kind = find(given.get("type"))[0] if isinstance(given, dict) else None
    if kind is None:
        known = types(applies_to) if applies_to else types(TEXT) + types(IMAGE)
        return f"must be an object whose type is one of {', '.join(known)}, each also with {NOT} in front."
    name = given["type"]
    if applies_to and kind.applies_to not in ("", applies_to):
        return f"{name} is for {kind.applies_to}s, not for {applies_to}s."
    unknown = given.keys() - {"type", "value", "not", "weight"} - kind.keys
    if unknown and name.removeprefix(NOT) in VALIDATORS:
        keys = ", ".join(["type", "value", "not", "weight", *sorted(kind.keys)])
        return f"{name} does not know {', '.join(repr(str(key)) for key in sorted(unknown, key=str))}; it knows {keys}."
    if given.get("not") not in (None, True, False):
        return "not must be true or false."
    if given.get("weight") is not None and not (is_number(given["weight"]) and 0 < given["weight"] <= LARGEST_WEIGHT):
        return f"weight must be a number above 0 and up to {LARGEST_WEIGHT:,.0f}."
    try:
        reason = kind.check(given)
    except Exception as error:  # a stranger's check, or a schema that no library foresaw
        reason = f"cannot be used: {type(error).__name__}: {error}"[:LONGEST_MESSAGE]
    return f"{name} {reason}" if reason else None


# --- Judging ---------------------------------------------------------------------------------------------------------
class Budget:
    """Seconds that timed validators may still take together, such as in one call."""

    def __init__(self, seconds: float = CALL_SECONDS) -> None:
        self.left = seconds


def validate(
    validators: Sequence[Mapping[str, Any]],
    claim: Claim | ImageClaim,
    pass_threshold: float | None = None,
    budget: Budget | None = None,
) -> tuple[bool | None, list[dict[str, Any]]]:
    """Whether the claim passes, and the result of each validator: type, value, outcome, message and detail, in their order.

    `outcome` is `pass`, `fail`, or `error` where it could not be run. The claim passes where the share of weight that passed
    reaches the threshold (None: all of it); None where errors leave it open.
    """
    row = Budget(ROW_SECONDS)
    results = [_result(validator, claim, row, budget) for validator in validators]
    return _passes(results, 1.0 if pass_threshold is None else pass_threshold), results


def _passes(results: Iterable[Mapping[str, Any]], threshold: float) -> bool | None:
    weights = {"pass": 0.0, "fail": 0.0, "error": 0.0}
    for result in results:
        weights[result["outcome"]] += result.get("weight", 1.0)
    if not weights["pass"] and not weights["fail"]:
        return None
    needed = threshold * sum(weights.values()) * (1 - 1e-9)  # sums of weights are rounded
    if weights["pass"] >= needed:
        return True
    return False if weights["pass"] + weights["error"] < needed else None


def _result(validator: Mapping[str, Any], claim: Claim | ImageClaim, row: Budget, call: Budget | None) -> dict[str, Any]:
    result: dict[str, Any] = {"type": str(validator.get("type"))[:80], "value": None}
    try:
        kind, turned = find(validator.get("type"))
        turned ^= bool(validator.get("not"))
        result = _named(validator, turned)
        if kind is None:
            raise Unrunnable(f"There is no validator of the type {result['type']!r} here.")
        if kind.applies_to not in ("", IMAGE if isinstance(claim, ImageClaim) else TEXT):
            raise Unrunnable(f"It is for {kind.applies_to}s only.")
        verdict = _timed(kind, validator, claim, row, call) if kind.is_timed else kind.judge(claim, validator, ONE_SECONDS)
        passed = verdict.holds is not turned
        message = "" if passed else verdict.found[:LONGEST_MESSAGE]
        return {**result, "outcome": "pass" if passed else "fail", "message": message, "detail": dict(verdict.detail)}
    except Unrunnable as reason:
        message = str(reason)
    except TimeoutError:
        message = f"It took longer than {ONE_SECONDS} s, and was stopped."
    except Exception as error:  # a validator must never cost a row
        message = f"{type(error).__name__}: {error}"
    return {**result, "outcome": "error", "message": message[:LONGEST_MESSAGE], "detail": {}}


def _timed(kind: Kind, validator: Mapping[str, Any], claim: Any, row: Budget, call: Budget | None) -> Any:
    seconds = min(ONE_SECONDS, row.left, ONE_SECONDS if call is None else call.left)
    if seconds <= 0:
        spent = "row" if row.left <= 0 else "call"
        raise Unrunnable(f"The time that the validators of one {spent} may take was used up before it ran.")
    started = time.perf_counter()
    try:
        return kind.judge(claim, validator, seconds)
    finally:
        spent_seconds = time.perf_counter() - started
        row.left -= spent_seconds
        if call is not None:
            call.left -= spent_seconds


def _named(validator: Mapping[str, Any], turned: bool) -> dict[str, Any]:
    """What names a validator in its result. Long values are cut: a schema need not stand in every row."""
    name = str(validator.get("type", ""))[:80].removeprefix(NOT)
    value = validator.get("value")
    if not (value is None or isinstance(value, (int, float, bool)) or (isinstance(value, str) and len(value) <= LONGEST_VALUE)):
        text = value if isinstance(value, str) else json.dumps(value)
        value = value if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
    named = {"type": f"{NOT}{name}" if turned else name, "value": value}
    extra = {key: validator[key] for key in ("threshold", "min", "max", "unit", "class", "min_confidence") if key in validator}
    if validator.get("weight") is not None:
        extra["weight"] = float(validator["weight"])
    return {**named, **extra}
