"""Validators of what a model saw in an image."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets.shapes import box_iou
from predictions.validators.base import (
    IMAGE,
    ImageClaim,
    Kind,
    SeenObject,
    Unrunnable,
    Verdict,
    needs_text,
    quoted,
    wrong_number,
)
from predictions.validators.texts import limit_of, wrong_limit

MOST_OBJECTS = 1_000_000
Given = Mapping[str, Any]


def _confident(claim: ImageClaim, given: Given) -> list[SeenObject]:
    least = given.get("min_confidence") or 0
    return [each for each in claim.predicted if each.confidence >= least]


def _wrong_confidence(given: Given) -> str | None:
    return wrong_number(given, "min_confidence", 0, 1)


def _label_is(claim: ImageClaim, given: Given, seconds: float) -> Verdict:
    said = max(_confident(claim, given), key=lambda each: each.confidence, default=None)
    if said is None:
        return Verdict(False, "Nothing was predicted.")
    found = f"The label is {quoted(said.category)}, with confidence {said.confidence:.3g}."
    return Verdict(said.category == given["value"], found, {"label": said.category, "confidence": said.confidence})


def _contains_objects(claim: ImageClaim, given: Given, seconds: float) -> Verdict:
    count = sum(each.category == given["value"] for each in _confident(claim, given))
    least, most = _count_range(given)
    bounds = f"at least {least:,}" if most is None else f"{least:,} to {most:,}"
    fits = least <= count and (most is None or count <= most)
    return Verdict(fits, f"There are {count:,} of {quoted(given['value'])}; asked for are {bounds}.", {"count": count})


def _count_range(given: Given) -> tuple[int, int | None]:
    """At least one where nothing is said."""
    least, most = given.get("min"), given.get("max")
    return (0 if most is not None else 1) if least is None else least, most


def _check_contains_objects(given: Given) -> str | None:
    counts = [wrong_number(given, key, 0, MOST_OBJECTS, whole=True) for key in ("min", "max")]
    wrong = needs_text(given) or counts[0] or counts[1] or _wrong_confidence(given)
    if wrong:
        return wrong
    least, most = _count_range(given)
    return "min is above max." if most is not None and least > most else None


def _iou_at_least(claim: ImageClaim, given: Given, seconds: float) -> Verdict:
    kind, least = given.get("class"), limit_of(given)
    true = [each for each in claim.true if each.box is not None and kind in (None, each.category)]
    if not true:
        raise Unrunnable(f"The image has no true object{f' of {quoted(kind)}' if kind else ''} to be matched.")
    predicted = [each for each in _confident(claim, given) if each.box is not None]
    matched = matches(true, predicted, least)
    found = f"{matched:,} of {len(true):,} true objects are matched with an IoU of {least:g}."
    return Verdict(matched == len(true), found, {"matched": matched, "true": len(true)})


def matches(true: Sequence[SeenObject], predicted: Sequence[SeenObject], least: float) -> int:
    """The most true objects that can each have a prediction of their class to themselves: a greatest matching.

    Kuhn's way: a true object takes a prediction from another one that finds a second.
    """
    fitting = [[place for place, other in enumerate(predicted) if _fits(each, other, least)] for each in true]
    owner: dict[int, int] = {}

    def settle(start: int) -> bool:
        """Looks for a free prediction along a path of exchanges; without recursion, since paths may be long."""
        came_from: dict[int, tuple[int, int | None]] = {}
        waiting = [(start, None)]
        while waiting:
            each, by = waiting.pop()
            for place in fitting[each]:
                if place in came_from:
                    continue
                came_from[place] = (each, by)
                if place not in owner:
                    _exchange(place, came_from, owner)
                    return True
                waiting.append((owner[place], place))  # type: ignore[arg-type]
        return False

    return sum(settle(each) for each in range(len(true)))


def _exchange(last: int, came_from: Mapping[int, tuple[int, int | None]], owner: dict[int, int]) -> None:
    place: int | None = last
    while place is not None:
        each, by = came_from[place]
        owner[place] = each
        place = by


def _fits(true: SeenObject, predicted: SeenObject, least: float) -> bool:
    assert true.box is not None and predicted.box is not None
    return true.category == predicted.category and box_iou(true.box, predicted.box) >= least


def _check_iou_at_least(given: Given) -> str | None:
    kind = given.get("class")
    if kind is not None and (not isinstance(kind, str) or not kind):
        return "class must be the name of a class; left out, all classes count."
    return wrong_limit(given, 0, 1, "the least IoU, from 0 to 1") or _wrong_confidence(given)


KINDS: dict[str, Kind] = {
    "label_is": Kind(
        "The class that the model is surest of is this one.",
        _label_is,
        lambda given: needs_text(given) or _wrong_confidence(given),
        frozenset({"min_confidence"}),
        IMAGE,
        example="cat",
    ),
    "contains_objects": Kind(
        "It holds min to max objects of this class (at least one where neither is given).",
        _contains_objects,
        _check_contains_objects,
        frozenset({"min", "max", "min_confidence"}),
        IMAGE,
        example="person",
    ),
    "iou_at_least": Kind(
        "Every true object (of class, where given) is matched by a prediction of its class with at least this IoU.",
        _iou_at_least,
        _check_iou_at_least,
        frozenset({"threshold", "class", "min_confidence"}),
        IMAGE,
        example=0.5,
    ),
}
