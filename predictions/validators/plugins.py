"""Validators of others: packages that name a `Kind` under the entry point group `touchstone.validators`."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from predictions.validators.base import Kind, Unrunnable, Verdict

GROUP = "touchstone.validators"


@cache
def found() -> dict[str, EntryPoint]:
    """What is installed, by type; nothing is loaded yet."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def load(name: str) -> Kind | None:
    """The kind of that name, or one that only says why it cannot be loaded; None where nobody has it."""
    point = found().get(name)
    if point is None:
        return None
    try:
        kind = point.load()
    except Exception as error:  # whatever a stranger's module does on import
        return _broken(name, f"{type(error).__name__}: {error}")
    return kind if isinstance(kind, Kind) else _broken(name, f"{point.value} is no predictions.validators.Kind")


def _broken(name: str, reason: str) -> Kind:
    words = f"The plugin of '{name}' cannot be loaded ({reason})."

    def judge(claim: Any, given: Mapping[str, Any], seconds: float) -> Verdict:
        raise Unrunnable(words)

    return Kind(words, judge, lambda given: words, applies_to="")
