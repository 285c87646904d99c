"""What the OpenAPI schema says of every endpoint alike: the one shape of an error."""

from typing import Any

PROBLEM = {
    "type": "object",
    "description": "What is wrong, and how to mend it (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}, "code": {"type": "string"}},
                "required": ["field", "reason", "code"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "remedy", "errors"],
}
METHODS = {"get", "post", "put", "patch", "delete"}


def add_problems(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular: the default response of each operation is a problem."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    answer = {
        "description": "A problem, in words.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in result["paths"].values():
        for method in METHODS & operations.keys():
            operations[method]["responses"].setdefault("default", answer)
    return result
