"""Ids of two sources held against each other. Pure."""

from collections.abc import Container, Set
from typing import Any


def shift_between(known: Container[Any], used: Set[Any]) -> int | None:
    """The offset of -1 or 1 by which all used whole-number ids become known ones; None where none does or none is needed."""
    numbers = {number for number in used if isinstance(number, int)}
    if not numbers or len(numbers) < len(used) or all(number in known for number in numbers):
        return None
    return next((offset for offset in (-1, 1) if all(number + offset in known for number in numbers)), None)
