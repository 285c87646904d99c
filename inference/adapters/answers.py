"""From a model's numbers to an InferenceResult, alike for all adapters. Knows no framework."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from inference.adapters.base import TOP, AdapterError, DetectedObject, Image, InferenceResult


def classified(probabilities: np.ndarray[Any, Any], class_names: Sequence[str], image: Image) -> InferenceResult:
    """Of one image, from the probability of every class."""
    best = np.argsort(-probabilities, kind="stable")[:TOP]
    top = tuple((class_names[index], int(index), float(probabilities[index])) for index in best)
    label, label_id, confidence = top[0]
    height, width = image.shape[:2]
    return InferenceResult(
        "classification", width, height, label, label_id, confidence, top, tuple(probabilities.astype(float).tolist())
    )


def detected(task_type: str, found: Sequence[DetectedObject], image: Image) -> InferenceResult:
    """Of one image, from its objects, surest first."""
    height, width = image.shape[:2]
    if not found:
        return InferenceResult(task_type, width, height)
    first = found[0]
    return InferenceResult(task_type, width, height, first.label, first.label_id, first.confidence, objects=tuple(found))


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Along the last axis, in double precision."""
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def names_of_classes(count: int, *sources: Any) -> list[str]:
    """The first of the sources that names any classes: a list, or a mapping either way round. Their numbers where none does.

    Raises AdapterError where the names are not as many as the model's outputs: every label would be suspect.
    """
    for source in sources:
        names = _as_list(source)
        if not names:
            continue
        if len(names) != count:
            raise AdapterError(
                f"The model has {count} outputs, but {len(names)} class names are given ({', '.join(names[:5])}, …).",
                "Register it with a file of its own names, one a line, in the order of the outputs.",
            )
        return names
    return [str(index) for index in range(count)]


def _as_list(source: Any) -> list[str]:
    if isinstance(source, dict):
        if source and all(isinstance(value, int) for value in source.values()):
            source = {index: name for name, index in source.items()}
        try:
            return [str(source[key]) for key in sorted(source, key=int)]
        except (ValueError, TypeError):
            return []
    return [str(name) for name in source] if isinstance(source, (list, tuple)) else []


def as_plain_json(value: Any) -> Any:
    """The value as JSON holds it, so that what is stored equals what comes back."""
    return json.loads(json.dumps(value, default=str))
