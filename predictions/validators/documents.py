"""Validators of answers that are JSON: documents, schemas and tool calls.

Schemas see nothing outside themselves: references stay in the document, nothing is fetched. Everything runs under a limit of
depth, size and time, the patterns inside schemas too.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import regex
from jsonschema import Draft202012Validator, exceptions, validators
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from predictions.validators.base import Claim, Kind, Unrunnable, Verdict, needs_nothing, quoted
from predictions.validators.texts import LONGEST_PATTERN, wrong_pattern

LONGEST_JSON = 200_000
LONGEST_SCHEMA = 50_000
DEEPEST = 64
MOST_ERRORS = 5
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
Given = Mapping[str, Any]
_until: ContextVar[float] = ContextVar("until")


class NotJson(Exception):
    """What is wrong with a text that should be JSON."""


def parse(text: str) -> Any:
    """The document of a text. Raises NotJson, and Unrunnable where it goes beyond the limits, so that nobody can tell."""
    if len(text) > LONGEST_JSON:
        raise Unrunnable(f"The text is longer than {LONGEST_JSON:,} characters, which is too long to read as JSON.")
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise NotJson(f"It is not JSON: {error}.") from None
    except RecursionError:
        raise Unrunnable(f"The JSON is nested deeper than {DEEPEST} levels.") from None
    except ValueError:  # Python reads whole numbers of up to 4,300 digits
        raise Unrunnable("The JSON holds a number too long to be read.") from None
    if is_deeper(document, DEEPEST):
        raise Unrunnable(f"The JSON is nested deeper than {DEEPEST} levels.")
    return document


def _refuse_constant(name: str) -> Any:
    raise NotJson(f"It is not JSON: {name} is no number there.")


def is_deeper(document: Any, most: int) -> bool:
    level = [document]
    for _ in range(most + 1):
        level = [inner for each in level if isinstance(each, (dict, list)) for inner in _inside(each)]
        if not level:
            return False
    return True


def _inside(node: Any) -> Any:
    return node.values() if isinstance(node, dict) else node


def _is_json(claim: Claim, given: Given, seconds: float) -> Verdict:
    try:
        parse(claim.prediction)
    except NotJson as reason:
        return Verdict(False, str(reason))
    return Verdict(True, "It is JSON.")


# --- Schemas ---------------------------------------------------------------------------------------------------------
def wrong_schema(schema: Any) -> str | None:
    """What is wrong with a schema, in words: its form, its size, or a reference that leaves it."""
    if not isinstance(schema, dict):
        return "needs a value, a JSON schema as an object."
    if is_deeper(schema, DEEPEST):
        return f"the schema is nested deeper than {DEEPEST} levels."
    if len(json.dumps(schema)) > LONGEST_SCHEMA:
        return f"the schema is longer than {LONGEST_SCHEMA:,} characters."
    if not isinstance(schema.get("$schema", ""), str):
        return "the schema's $schema must be a text."
    nodes = list(_objects(schema))
    for node in nodes:
        reason = _wrong_node(node)
        if reason:
            return reason
    # The library looks these up with patterns of its own, which no clock stops.
    if all(any(name in node for node in nodes) for name in ("patternProperties", "unevaluatedProperties")):
        return "unevaluatedProperties together with patternProperties is not supported; use additionalProperties."
    try:
        _class_of(schema).check_schema(schema)
    except exceptions.SchemaError as error:
        return f"the schema does not hold: {_place(error)}{error.message[:300]}."
    except RecursionError:
        return "the schema is nested too deeply."
    return _unresolved(schema)


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
        if isinstance(node, (dict, list)):
            waiting.extend(_inside(node))


def _wrong_node(node: dict[str, Any]) -> str | None:
    for name in REFERENCES:
        target = node.get(name)
        if isinstance(target, str) and not target.startswith("#"):
            return f"{name} {quoted(target)} leaves the schema; references must begin with '#'."
    named = node.get("patternProperties")
    patterns = [*(named if isinstance(named, dict) else ()), node.get("pattern")]
    for pattern in patterns:
        if isinstance(pattern, str) and len(pattern) > LONGEST_PATTERN:
            return f"a pattern of the schema is longer than {LONGEST_PATTERN:,} characters."
        reason = wrong_pattern(pattern) if isinstance(pattern, str) else None
        if reason:
            return reason
    return None


def _unresolved(schema: Any) -> str | None:
    """A reference to a place that the schema does not have."""
    resolver = Registry().resolver_with_root(Resource.from_contents(schema, default_specification=DRAFT202012))
    for node in _objects(schema):
        target = node.get("$ref")
        if isinstance(target, str):
            try:
                resolver.lookup(target)
            except Unresolvable:
                return f"$ref {quoted(target)} points to nothing in the schema."
    return None


@lru_cache(maxsize=256)
def _compiled_text(schema: str) -> Any:
    """Of a schema as JSON text. Raises Unrunnable for one that is wrong: what is stored may be older than the checks."""
    document = json.loads(schema)
    reason = wrong_schema(document)
    if reason:
        raise Unrunnable(f"The schema cannot be used: {reason}")
    return _class_of(document)(document, registry=Registry())


def _compiled(schema: Any) -> Any:
    return _compiled_text(json.dumps(schema))


def _class_of(schema: Any) -> Any:
    return _limited(validators.validator_for(schema, default=Draft202012Validator))


@cache
def _limited(kind: Any) -> Any:
    """The library's validator with every keyword under the clock, and with patterns and comparisons that obey it."""
    own = {"pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional_properties}
    keywords = kind.VALIDATORS | {name: keyword for name, keyword in own.items() if name in kind.VALIDATORS}
    keywords |= {"uniqueItems": _unique_items}
    return validators.extend(kind, {name: _timed(keyword) for name, keyword in keywords.items()})


def _timed(keyword: Any) -> Any:
    def within(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _seconds_left()
        return keyword(validator, value, instance, schema)

    return within


def _seconds_left() -> float:
    left = _until.get() - time.perf_counter()
    if left <= 0:
        raise TimeoutError
    return left


def _found(pattern: str, text: str) -> bool:
    return regex.search(pattern, text, timeout=_seconds_left()) is not None


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Any:
    if validator.is_type(instance, "string") and not _found(pattern, instance):
        yield exceptions.ValidationError(f"{quoted(instance)} does not match {quoted(pattern)}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Any:
    if validator.is_type(instance, "object"):
        for pattern, inner in patterns.items():
            for name, value in instance.items():
                if _found(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Any:
    if not validator.is_type(instance, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [name for name in instance if name not in known and not any(_found(pattern, name) for pattern in patterns)]
    if allowed is False and extra:
        yield exceptions.ValidationError(f"unexpected: {', '.join(map(quoted, extra[:MOST_ERRORS]))}")
    elif isinstance(allowed, dict):
        for name in extra:
            yield from validator.descend(instance[name], allowed, path=name)


def _unique_items(validator: Any, asked: Any, instance: Any, schema: Any) -> Any:
    """By their text, in one pass: the library compares every pair of objects."""
    if asked and validator.is_type(instance, "array"):
        texts = [json.dumps(_plain_numbers(item), sort_keys=True) for item in instance]
        if len(set(texts)) < len(texts):
            yield exceptions.ValidationError("the items are not unique")


def _plain_numbers(node: Any) -> Any:
    """1.0 is 1 in JSON schema."""
    if isinstance(node, dict):
        return {name: _plain_numbers(inner) for name, inner in node.items()}
    if isinstance(node, list):
        return [_plain_numbers(inner) for inner in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


def _errors(document: Any, compiled: Any, seconds: float) -> list[dict[str, str]]:
    """The first errors of a document: path and message. Raises Unrunnable for a schema without end, and TimeoutError."""
    token = _until.set(time.perf_counter() + seconds)
    try:
        found = list(islice(compiled.iter_errors(document), MOST_ERRORS))
    except RecursionError:
        raise Unrunnable("The schema refers to itself without end.") from None
    finally:
        _until.reset(token)
    return [{"path": _path(error), "message": error.message[:300]} for error in found]


def _path(error: exceptions.ValidationError) -> str:
    return "/".join(str(part) for part in error.absolute_path)[:300]


def _place(error: exceptions.SchemaError) -> str:
    path = "/".join(str(part) for part in error.absolute_path)
    return f"at {path}: " if path else ""


def _in_words(errors: list[dict[str, str]]) -> str:
    first = errors[0]
    return f"{first['path']}: {first['message']}" if first["path"] else first["message"]


def _json_schema(claim: Claim, given: Given, seconds: float) -> Verdict:
    compiled = _compiled(given["value"])
    try:
        document = parse(claim.prediction)
    except NotJson as reason:
        return Verdict(False, str(reason))
    errors = _errors(document, compiled, seconds)
    if errors:
        return Verdict(False, _in_words(errors), {"errors": errors})
    return Verdict(True, "It fits the schema.")


def _check_json_schema(given: Given) -> str | None:
    return wrong_schema(given.get("value"))


# --- Tool calls ------------------------------------------------------------------------------------------------------
def _tool_call(claim: Claim, given: Given, seconds: float) -> Verdict:
    wanted = given["value"]
    compiled = _compiled(wanted.get("arguments", {}))
    try:
        calls = _calls(parse(claim.prediction))
    except NotJson as reason:
        return Verdict(False, str(reason))
    if not calls:
        return Verdict(False, "It is no tool call: there is no name.")
    named = [call for call in calls if call["name"] == wanted["name"]]
    if not named:
        names = [call["name"] for call in calls]
        return Verdict(False, f"It calls {', '.join(map(quoted, names))}, not {quoted(wanted['name'])}.", {"called": names})
    verdicts = [_arguments(call, compiled, seconds) for call in named]
    return next((verdict for verdict in verdicts if verdict.holds), verdicts[0])


def _calls(document: Any) -> list[dict[str, Any]]:
    """The calls of an answer: {"name", "arguments"}, {"function": ...}, a list of them, or a message with tool_calls."""
    if isinstance(document, dict) and isinstance(document.get("tool_calls"), list):
        document = document["tool_calls"]
    found = document if isinstance(document, list) else [document]
    inner = [one["function"] if isinstance(one, dict) and isinstance(one.get("function"), dict) else one for one in found]
    return [one for one in inner if isinstance(one, dict) and isinstance(one.get("name"), str)]


def _arguments(call: dict[str, Any], compiled: Any, seconds: float) -> Verdict:
    given = call.get("arguments", {})
    if isinstance(given, str):
        try:
            given = parse(given)
        except NotJson as reason:
            return Verdict(False, f"The arguments do not fit: {reason}")
    errors = _errors(given, compiled, seconds)
    if errors:
        return Verdict(False, f"The arguments do not fit: {_in_words(errors)}", {"errors": errors})
    return Verdict(True, f"It calls {quoted(call['name'])}.")


def _check_tool_call(given: Given) -> str | None:
    value = given.get("value")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        return 'needs a value, as in {"name": "search", "arguments": {a JSON schema}}.'
    unknown = value.keys() - {"name", "arguments"}
    if unknown:
        return f"its value holds {', '.join(map(quoted, sorted(unknown)))}; known are name and arguments."
    reason = wrong_schema(value.get("arguments", {}))
    return f"its arguments: {reason}" if reason else None


KINDS: dict[str, Kind] = {
    "is_json": Kind("It is a JSON document.", _is_json, needs_nothing),
    "json_schema": Kind(
        "It is a JSON document that fits this schema.",
        _json_schema,
        _check_json_schema,
        is_timed=True,
        example={"type": "object", "required": ["city"]},
    ),
    "tool_call": Kind(
        "It calls this tool, with arguments that fit the schema.",
        _tool_call,
        _check_tool_call,
        is_timed=True,
        example={"name": "search", "arguments": {"type": "object"}},
    ),
}
