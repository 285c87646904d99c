"""promptfoo's assertions in terms of our validators, and back. Pure."""

from typing import Any

from predictions import validators

# promptfoo's name: ours.
NAMES = {
    "equals": "equals",
    "contains": "contains",
    "icontains": "icontains",
    "contains-all": "contains_all",
    "contains-any": "contains_any",
    "starts-with": "starts_with",
    "regex": "regex",
    "is-json": "is_json",
    "levenshtein": "levenshtein",
    "latency": "latency",
}
LISTS = ("contains-all", "contains-any")
DEFAULT_DISTANCE = 5
MEANT = {"type", "value", "threshold", "weight"}
# What an assertion may say that changes no outcome.
HARMLESS = {"metric", "description"}


def as_validator(assertion: Any) -> dict[str, Any] | str:
    """The validator that an assertion stands for, or the reason why there is none."""
    if not isinstance(assertion, dict) or not isinstance(assertion.get("type"), str):
        return "An assertion must be an object with a type."
    negated = assertion["type"].startswith("not-")
    kind = assertion["type"].removeprefix("not-")
    if kind not in NAMES:
        return f"Assertions of type {kind} have no counterpart here."
    unknown = assertion.keys() - MEANT - HARMLESS
    if unknown:
        return f"The assertion says {', '.join(sorted(unknown))}, which has no counterpart here."
    value = assertion.get("value")
    if isinstance(value, str) and ("{{" in value or value.startswith("file://")):
        return "Its value is made by a template or a file."
    found = _mapped(kind, value, assertion.get("threshold"))
    if assertion.get("weight") is not None:
        found["weight"] = assertion["weight"]
    if negated:
        found["not"] = True
    wrong = validators.check([found], validators.TEXT)
    return found if not wrong else wrong[0].removeprefix("validator 1: ")


def _mapped(kind: str, value: Any, threshold: Any) -> dict[str, Any]:
    if kind == "is-json" and isinstance(value, dict):
        return {"type": "json_schema", "value": value}
    if kind == "is-json":
        return {"type": "is_json"}
    if kind == "latency":
        return {"type": "latency", "threshold": threshold}
    if kind in LISTS and isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if kind in LISTS and isinstance(value, list):
        value = [_plain(part) for part in value]
    if kind == "equals" and isinstance(value, dict | list):
        return {"type": "equals", "value": value}  # an object, which `check` refuses: texts are compared here
    found = {"type": NAMES[kind], "value": _plain(value)}
    if kind == "levenshtein":
        found["threshold"] = DEFAULT_DISTANCE if threshold is None else threshold
    return found


def _plain(value: Any) -> Any:
    """Numbers as the texts that they are held against."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def as_assertion(validator: dict[str, Any]) -> dict[str, Any]:
    """promptfoo's word for a validator; what it has none for keeps our name, which reads as such there."""
    kind = validator["type"].removeprefix("not_")
    turned = (kind != validator["type"]) is not bool(validator.get("not"))
    name = "is-json" if kind == "json_schema" else next((theirs for theirs, ours in NAMES.items() if ours == kind), kind)
    found: dict[str, Any] = {"type": f"not-{name}" if turned else name}
    found |= {field: value for field, value in validator.items() if field not in ("type", "not")}
    return found
