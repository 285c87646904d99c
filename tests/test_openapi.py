"""What the API answers against what its OpenAPI schema says, endpoint by endpoint."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from tests.access_table import API, Row
from tests.world import World

DOCUMENTED = sorted(set(API) - {"schema", "api-docs"})


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(made)
    strict: dict[str, Any] = as_json_schema(json.loads(json.dumps(made)))
    return strict


def as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 in the words of JSON Schema: `nullable` spelled out. Objects hold what is written down and nothing else."""
    if isinstance(node, list):
        return [as_json_schema(value) for value in node]
    if not isinstance(node, dict):
        return node
    node = {key: as_json_schema(value) for key, value in node.items()}
    if "properties" in node:
        node.setdefault("additionalProperties", False)
    return {"anyOf": [node, {"type": "null"}]} if node.pop("nullable", False) is True else node


def operations(schema: dict[str, Any], url: str) -> dict[str, Any]:
    """What the schema says of this address, by method."""
    for template, methods in schema["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", r"[^/]+", template), url):
            found: dict[str, Any] = methods
            return found
    raise AssertionError(f"The schema has no path for {url}.")


def complaints(schema: dict[str, Any], operation: dict[str, Any], response: Any) -> list[str]:
    """How the response differs from the operation's documented one of its status."""
    responses = operation["responses"]
    documented = responses.get(str(response.status_code)) or responses["default"]
    if "content" not in documented:
        return [] if not response.content else [f"{response.status_code} is documented without content"]
    content_type = response.headers["Content-Type"].split(";")[0]
    if content_type not in documented["content"]:
        return [f"{content_type} is not among {list(documented['content'])}"]
    if "json" not in content_type or content_type == "application/jsonl":
        return []  # a download, whose inside is not the schema's matter
    rule = documented["content"][content_type]["schema"] | {"components": schema["components"]}
    validator = Draft202012Validator(rule, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(response.json())]


def send(client: Client, method: str, url: str, row: Row) -> Any:
    body = "" if method == "GET" else json.dumps(row.body)
    return client.generic(method, url, body, content_type="application/json", headers=row.headers)


def calls() -> Iterator[tuple[str, str]]:
    """Every endpoint with every method that does something there."""
    for name in DOCUMENTED:
        for method, answers in API[name].answers().items():
            if "405" not in answers:
                yield name, method


@pytest.mark.parametrize(("name", "method"), list(calls()))
@pytest.mark.parametrize("person", ["admin", "viewer", "stranger", "anonymous"])
def test_answers_are_as_documented(name: str, method: str, person: str, world: World, schema: dict[str, Any]) -> None:
    url = reverse(name, kwargs=world.arguments[API[name].of])
    response = send(world.client(person), method, url, API[name])
    assert complaints(schema, operations(schema, url)[method.lower()], response) == []


def test_imported_predictions_are_told_as_documented(world: World, schema: dict[str, Any]) -> None:
    """A small file, sent with the request: imported at once."""
    url = reverse("prediction-create", kwargs=world.arguments["in_dataset"])
    response = world.client("editor").post(url, {"file": ContentFile(b"[]", "results.json"), "name": "empty"})
    assert response.status_code == 201
    assert complaints(schema, operations(schema, url)["post"], response) == []


def test_a_queued_import_is_told_as_documented(world: World, schema: dict[str, Any]) -> None:
    url = reverse("dataset-import-list", kwargs=world.arguments["in_dataset"])
    response = world.client("editor").post(url, {"file": ContentFile(b"{}", "truth.json"), "split": "train"})
    assert response.status_code == 202
    assert complaints(schema, operations(schema, url)["post"], response) == []


def test_every_documented_address_is_in_the_access_table(world: World, schema: dict[str, Any]) -> None:
    urls = [reverse(name, kwargs=world.arguments[API[name].of]) for name in DOCUMENTED]
    found = [operations(schema, url) for url in urls]
    assert [path for path, methods in schema["paths"].items() if methods not in found and path != "/api/schema/"] == []


def test_every_method_that_works_is_documented(world: World, schema: dict[str, Any]) -> None:
    for name, method in calls():
        url = reverse(name, kwargs=world.arguments[API[name].of])
        assert method.lower() in operations(schema, url), f"{method} {url}"


def test_every_operation_has_a_summary(schema: dict[str, Any]) -> None:
    missing = [
        f"{method} {path}"
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if path != "/api/schema/" and not (operation.get("summary") or operation.get("description"))
    ]
    assert missing == []


@pytest.mark.parametrize("name", sorted(name for name in DOCUMENTED if name.endswith("-list")))
def test_lists_come_in_pages_by_cursor(name: str, world: World) -> None:
    url = reverse(name, kwargs=world.arguments[API[name].of])
    assert set(world.client("admin").get(url).json()) == {"next", "previous", "results"}
