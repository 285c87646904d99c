"""Validators of what a model said, of its scores, and of how the answer came about."""

from collections.abc import Callable, Mapping
from typing import Any

import regex
from rapidfuzz.distance import Levenshtein

from predictions.scoring import FIELDS, LOWER_IS_BETTER
from predictions.validators.base import (
    Claim,
    Kind,
    Unrunnable,
    Verdict,
    is_number,
    may_be_empty,
    needs_text,
    needs_texts,
    quoted,
    wrong_number,
)

LONGEST_PATTERN = 2_000
LONGEST_COMPARED = 20_000
LARGEST = 1e12
Given = Mapping[str, Any]


def plain(
    meaning: str,
    holds: Callable[[str, str], bool],
    so: str,
    not_so: str,
    check: Callable[[Given], str | None] = needs_text,
) -> Kind:
    """A kind that holds the text against a text; `so` and `not_so` are the words for both outcomes."""

    def judge(claim: Claim, given: Given, seconds: float) -> Verdict:
        value = given["value"]
        if holds(claim.prediction, value):
            return Verdict(True, f"{so} {quoted(value)}.")
        return Verdict(False, f"{not_so} {quoted(value)}.")

    return Kind(meaning, judge, check, example="Paris")


def _contains_all(claim: Claim, given: Given, seconds: float) -> Verdict:
    missing = [text for text in given["value"] if text not in claim.prediction]
    if not missing:
        return Verdict(True, "It contains them all.")
    return Verdict(False, f"It lacks {', '.join(map(quoted, missing))}.", {"missing": missing})


def _contains_any(claim: Claim, given: Given, seconds: float) -> Verdict:
    present = [text for text in given["value"] if text in claim.prediction]
    if not present:
        return Verdict(False, "It contains none of them.")
    return Verdict(True, f"It contains {', '.join(map(quoted, present))}.", {"present": present})


def _regex(claim: Claim, given: Given, seconds: float) -> Verdict:
    match = regex.search(given["value"], claim.prediction, timeout=seconds)
    if match is None:
        return Verdict(False, f"Nothing in it matches {quoted(given['value'])}.")
    return Verdict(True, f"{quoted(match[0])} matches {quoted(given['value'])}.", {"at": match.start()})


def _check_regex(given: Given) -> str | None:
    value = given.get("value")
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_PATTERN:
        return f"needs a value, a regular expression of 1 to {LONGEST_PATTERN:,} characters."
    return wrong_pattern(value)


def wrong_pattern(pattern: str) -> str | None:
    try:
        regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        return f"the regular expression {quoted(pattern)} does not compile: {error or type(error).__name__}."
    return None


def _length(claim: Claim, given: Given) -> tuple[int, str]:
    if given.get("unit") == "words":
        return len(claim.prediction.split()), "words"
    return len(claim.prediction), "characters"


def _max_length(claim: Claim, given: Given, seconds: float) -> Verdict:
    length, unit = _length(claim, given)
    return Verdict(length <= given["value"], f"It has {length:,} {unit}; the limit is {given['value']:,}.", {"length": length})


def _min_length(claim: Claim, given: Given, seconds: float) -> Verdict:
    length, unit = _length(claim, given)
    return Verdict(length >= given["value"], f"It has {length:,} {unit}; the least is {given['value']:,}.", {"length": length})


def _check_length(given: Given) -> str | None:
    if given.get("unit") not in (None, "characters", "words"):
        return "unit must be characters or words."
    if not isinstance(given.get("value"), int):
        return "needs a value, a whole number."
    return wrong_number(given, "value", 0, 10_000_000, whole=True)


def _levenshtein(claim: Claim, given: Given, seconds: float) -> Verdict:
    if len(claim.prediction) > LONGEST_COMPARED:
        raise Unrunnable(f"The text is longer than {LONGEST_COMPARED:,} characters, which is too long to count edits.")
    edits = int(Levenshtein.distance(claim.prediction, given["value"]))
    most = given["threshold"]
    return Verdict(
        edits <= most, f"It is {edits:,} edits away from {quoted(given['value'])}; {most:,} are allowed.", {"edits": edits}
    )


def _check_levenshtein(given: Given) -> str | None:
    if given.get("threshold") is None:
        return "needs a threshold, the most edits that still pass."
    return may_be_empty(given) or wrong_number(given, "threshold", 0, 1_000_000, whole=True)


def _score(claim: Claim, given: Given, seconds: float) -> Verdict:
    name = given["value"]
    value = getattr(claim.scores, name) if name in FIELDS else claim.custom_scores.get(name)
    if value is None:
        why = "is not defined here, as without a reference" if name in FIELDS else "was not sent with this row"
        raise Unrunnable(f"The score {quoted(name)} {why}.")
    least, most = _bounds(given)
    fits = (least is None or value >= least) and (most is None or value <= most)
    bounds = " and ".join(
        [*([f"at least {least:g}"] if least is not None else []), *([f"at most {most:g}"] if most is not None else [])]
    )
    return Verdict(fits, f"{name} is {value:g}; asked for is {bounds}.", {"score": value})


def _bounds(given: Given) -> tuple[float | None, float | None]:
    """Least and greatest value. A threshold is the worst that passes: the greatest for error rates, else the least."""
    least, most = given.get("min"), given.get("max")
    if given.get("threshold") is not None:
        if given["value"] in LOWER_IS_BETTER or given["value"] == "char_edits":
            return least, given["threshold"]
        return given["threshold"], most
    return least, most


def _check_score(given: Given) -> str | None:
    name, bounds = given.get("value"), [given.get(key) for key in ("min", "max", "threshold")]
    if not isinstance(name, str) or not 0 < len(name) <= 80:
        return f"needs a value, the name of a score: {', '.join(FIELDS)}, or one that the trainer sends."
    if all(bound is None for bound in bounds):
        return "needs a threshold, or min and max."
    if given.get("threshold") is not None and (given.get("min") is not None or given.get("max") is not None):
        return "takes either a threshold, or min and max."
    wrong = [reason for key in ("min", "max", "threshold") if (reason := wrong_number(given, key, -LARGEST, LARGEST))]
    if wrong:
        return wrong[0]
    least, most = given.get("min"), given.get("max")
    return "min is above max." if least is not None and most is not None and least > most else None


def _latency(claim: Claim, given: Given, seconds: float) -> Verdict:
    if claim.latency_ms is None:
        raise Unrunnable("The row does not tell its latency.")
    most = limit_of(given)
    found = f"It took {claim.latency_ms:,g} ms; {most:,g} are allowed."
    return Verdict(claim.latency_ms <= most, found, {"latency_ms": claim.latency_ms})


def limit_of(given: Given) -> float:
    """Of kinds whose one number may stand as value or as threshold."""
    limit = given.get("value") if given.get("threshold") is None else given["threshold"]
    if not is_number(limit):
        raise Unrunnable("It has no threshold.")
    return limit  # type: ignore[return-value]


def _check_latency(given: Given) -> str | None:
    return wrong_limit(given, 0, LARGEST, "the most milliseconds")


def wrong_limit(given: Given, least: float, most: float, what: str) -> str | None:
    if (given.get("value") is None) == (given.get("threshold") is None):
        return f"needs either a value or a threshold: {what}."
    return wrong_number(given, "value", least, most) or wrong_number(given, "threshold", least, most)


def _finish_reason(claim: Claim, given: Given, seconds: float) -> Verdict:
    if not claim.finish_reason:
        raise Unrunnable("The row does not tell why it ended.")
    allowed = [given["value"]] if isinstance(given["value"], str) else given["value"]
    return Verdict(claim.finish_reason in allowed, f"It ended by {quoted(claim.finish_reason)}.")


def _check_finish_reason(given: Given) -> str | None:
    if needs_text(given) is None or needs_texts(given) is None:
        return None
    return "needs a value, such as stop or eos, or a list of them."


KINDS: dict[str, Kind] = {
    "equals": plain("It is this text.", lambda said, value: said == value, "It is", "It is not", may_be_empty),
    "iequals": plain(
        "It is this text, whatever the case.",
        lambda said, value: said.casefold() == value.casefold(),
        "It is",
        "It is not",
        may_be_empty,
    ),
    "contains": plain("It contains this text.", lambda said, value: value in said, "It contains", "It does not contain"),
    "icontains": plain(
        "It contains this text, whatever the case.",
        lambda said, value: value.casefold() in said.casefold(),
        "It contains",
        "It does not contain",
    ),
    "contains_all": Kind("It contains every one of these texts.", _contains_all, needs_texts, example=["Paris", "France"]),
    "contains_any": Kind("It contains at least one of these texts.", _contains_any, needs_texts, example=["Paris", "Lyon"]),
    "starts_with": plain(
        "It begins with this text.",
        lambda said, value: said.startswith(value),
        "It begins with",
        "It does not begin with",
    ),
    "regex": Kind("The regular expression matches somewhere in it.", _regex, _check_regex, is_timed=True, example="[0-9]{4}"),
    "max_length": Kind(
        "It has at most so many characters (or words).", _max_length, _check_length, frozenset({"unit"}), example=200
    ),
    "min_length": Kind(
        "It has at least so many characters (or words).", _min_length, _check_length, frozenset({"unit"}), example=1
    ),
    "levenshtein": Kind(
        "It is at most threshold edits away from this text.",
        _levenshtein,
        _check_levenshtein,
        frozenset({"threshold"}),
        example="Paris",
    ),
    "score": Kind(
        "A stored or custom score is at its threshold or better, or between min and max.",
        _score,
        _check_score,
        frozenset({"threshold", "min", "max"}),
        example="chrf",
    ),
    "latency": Kind(
        "The answer took at most so many milliseconds.", _latency, _check_latency, frozenset({"threshold"}), example=500
    ),
    "finish_reason": Kind("The answer ended for this reason.", _finish_reason, _check_finish_reason, example="eos"),
}
