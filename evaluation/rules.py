"""The rules that a test run is made under: filled in and checked, as JSON that is kept with the result."""

from collections.abc import Mapping
from typing import Any

from evaluation.metrics.coco import AREAS, IOU_THRESHOLDS, CocoProtocol
from evaluation.metrics.labels import LabelProtocol
from evaluation.metrics.matches import BACKGROUND_BELOW
from evaluation.metrics.objects import KINDS, ObjectProtocol
from evaluation.metrics.protocols import PROTOCOLS
from predictions.answers import storable

LABELS = "classification"
LARGEST_AREA = 1e20  # pixels; more than any image has
MOST_NAMES, LONGEST_NAME = 10_000, 300
# The small ones are nobody's keypoints in COCO.
KEYPOINT_AREAS = {name: area for name, area in AREAS.items() if name != "small"}


class RulesRefused(Exception):
    """A rule that cannot be; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def protocol_names(task_type: str) -> list[str]:
    return list(PROTOCOLS) if task_type in KINDS else [LABELS]


def rules_for(task_type: str, name: str = "", given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every rule of the named protocol with those given in their places. Raises RulesRefused."""
    name = name or protocol_names(task_type)[0]
    if name not in protocol_names(task_type):
        raise RulesRefused("protocol", f"{name!r} is not one of {', '.join(protocol_names(task_type))}.")
    rules = _defaults(task_type, name)
    for key, value in (given or {}).items():
        if key not in rules or key in ("name", "kind"):
            raise RulesRefused(
                key, f"There is no rule {key!r} here. Rules: {', '.join(sorted(set(rules) - {'name', 'kind'}))}."
            )
        CHECKS[key](key, value)
        rules[key] = value
    return rules


def _defaults(task_type: str, name: str) -> dict[str, Any]:
    common = {"name": name, "least_confidence": 0.0, "class_mapping": {}}
    if task_type == LABELS:
        return common
    kind = KINDS[task_type]
    return common | {
        "kind": kind,
        "iou_thresholds": list(IOU_THRESHOLDS),
        "areas": {area: list(span) for area, span in (KEYPOINT_AREAS if kind == "keypoints" else AREAS).items()},
        "max_detections": [20] if kind == "keypoints" else [1, 10, 100],
        "match_iou": 0.5,
        "confidence": None,
        "crowds": "ignore",
        "sigmas": None,
    }


def object_protocol(rules: Mapping[str, Any]) -> ObjectProtocol:
    areas = {name: (float(low), float(high)) for name, (low, high) in rules["areas"].items()}
    coco = CocoProtocol(tuple(rules["iou_thresholds"]), areas, tuple(rules["max_detections"]))
    named = None if rules["name"] == "coco" else PROTOCOLS[rules["name"]]
    return ObjectProtocol(rules["match_iou"], rules["confidence"], coco, named)


def label_protocol(rules: Mapping[str, Any]) -> LabelProtocol:
    return LabelProtocol(rules["least_confidence"])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _share(key: str, value: Any) -> None:
    if not (_is_number(value) and 0 <= value <= 1):
        raise RulesRefused(key, "A number between 0 and 1.")


def _share_or_none(key: str, value: Any) -> None:
    if value is not None:
        _share(key, value)


def _match_iou(key: str, value: Any) -> None:
    if not (_is_number(value) and BACKGROUND_BELOW <= value <= 1):
        raise RulesRefused(key, f"A number between {BACKGROUND_BELOW} and 1.")


def _thresholds(key: str, value: Any) -> None:
    fits = isinstance(value, list) and 0 < len(value) <= 100 and all(_is_number(one) and 0 < one <= 1 for one in value)
    if not (fits and sorted(set(value)) == value):
        raise RulesRefused(key, "A list of rising numbers above 0 and up to 1.")


def _areas(key: str, value: Any) -> None:
    """`all` is what figures without an area's name go by; the others are told by their first letters."""
    fits = isinstance(value, dict) and "all" in value and len({name[:1] for name in value}) == len(value) <= 10
    if not (fits and all(name and _is_span(span) for name, span in value.items())):
        raise RulesRefused(
            key, 'Ranges in pixels by name, such as {"all": [0, 1e10], "small": [0, 1024]}; first letters differ.'
        )


def _is_span(value: Any) -> bool:
    fits = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    return fits and 0 <= value[0] < value[1] <= LARGEST_AREA


def _counts(key: str, value: Any) -> None:
    fits = isinstance(value, list) and 0 < len(value) <= 10 and all(type(one) is int and 0 < one <= 10_000 for one in value)
    if not (fits and sorted(set(value)) == value):
        raise RulesRefused(key, "A list of rising whole numbers above 0.")


def _mapping(key: str, value: Any) -> None:
    fits = isinstance(value, dict) and all(_is_name(name) for pair in value.items() for name in pair)
    if not (fits and len(value) <= MOST_NAMES):
        raise RulesRefused(key, 'Names of classes by name, such as {"lorry": "truck"}.')


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value == storable(value)


def _sigmas(key: str, value: Any) -> None:
    """Whether there are as many as points is seen where these are known."""
    lists = list(value.values()) if isinstance(value, dict) else [value]
    names = value if isinstance(value, dict) else ()
    fits = all(map(_is_name, names)) and all(
        isinstance(one, list) and one and all(_is_number(sigma) and 0 < sigma <= 10 for sigma in one) for one in lists
    )
    if value is not None and not (fits and lists):
        raise RulesRefused(
            key, 'A number above 0 for each keypoint, in order; for all classes, or by class, such as {"dog": [0.03, 0.05]}.'
        )


def _crowds(key: str, value: Any) -> None:
    if value != "ignore":
        raise RulesRefused(key, "Crowds are ignored, as COCO has it; the protocol ultralytics drops them.")


CHECKS = {
    "least_confidence": _share,
    "confidence": _share_or_none,
    "match_iou": _match_iou,
    "iou_thresholds": _thresholds,
    "areas": _areas,
    "max_detections": _counts,
    "class_mapping": _mapping,
    "sigmas": _sigmas,
    "crowds": _crowds,
}
