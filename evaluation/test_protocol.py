"""The rules of a test run in words, and how its images were prepared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.metrics.objects import some
from evaluation.models import TestRun
from evaluation.skeletons import COCO_SIGMAS

PROTOCOL_NAMES = {"coco": "COCO", "ultralytics": "Ultralytics", "voc": "Pascal VOC", "classification": "Classification"}
KINDS = {"bbox": "boxes", "segm": "masks", "keypoints": "keypoints (OKS)"}


def rules_in_words(test_run: TestRun) -> list[tuple[str, str]]:
    """Each rule with what it is set to."""
    rules = test_run.protocol
    found = [("Protocol", PROTOCOL_NAMES.get(test_run.protocol_name, test_run.protocol_name))]
    if "kind" in rules:
        found += _of_objects(rules)
    least = rules.get("least_confidence") or 0
    unsure = (
        "An image of whose first choice the model was less sure counts as not predicted"
        if "kind" not in rules
        else "Less sure predictions are left out"
    )
    found.append(("Least confidence", f"{least:g}. {unsure}." if least else "None: every prediction counts."))
    mapping = rules.get("class_mapping") or {}
    if mapping:
        found.append(("Classes", "; ".join(f"{old} counts as {new}" for old, new in mapping.items())))
    return found + _how_asked(test_run)


def _how_asked(test_run: TestRun) -> list[tuple[str, str]]:
    """Of a checkpoint's predictions: which of its answers were kept, and as what."""
    told = test_run.prediction_run.generation_params if test_run.prediction_run else {}
    settings, mapping = told.get("settings"), told.get("class_mapping")
    found = []
    if (
        test_run.task_type != "classification"
        and isinstance(settings, dict)
        and {"confidence", "iou", "max_objects"} <= settings.keys()
    ):
        words = f"Confidence from {settings['confidence']:g}, overlap up to {settings['iou']:g}, {settings['max_objects']} objects of an image."
        found.append(("The checkpoint was asked for", words))
    if mapping and isinstance(mapping, dict):
        found.append(("Its classes", "; ".join(f"{theirs} became {ours}" for theirs, ours in mapping.items())))
    return found


def _of_objects(rules: dict[str, Any]) -> list[tuple[str, str]]:
    thresholds = rules["iou_thresholds"]
    span = f"{thresholds[0]:g} to {thresholds[-1]:g}, {len(thresholds)} steps" if len(thresholds) > 1 else f"{thresholds[0]:g}"
    areas = "; ".join(f"{name}: {_area_in_words(low, high)}" for name, (low, high) in rules["areas"].items())
    confidence = rules["confidence"]
    found = [
        ("What overlaps", f"{KINDS[rules['kind']]}, at {span}"),
        (
            "Matches",
            f"A prediction stands for an object of its class from an overlap of {rules['match_iou']:g}; the surest chooses first.",
        ),
        ("Counts at", "the confidence of the best F1" if confidence is None else f"confidence {confidence:g}"),
        ("Areas (pixels)", areas),
        ("Most predictions", f"{', '.join(map(str, rules['max_detections']))} of an image and class"),
        (
            "Crowds",
            "What meets a crowd counts neither as right nor as wrong."
            if rules["crowds"] == "ignore"
            else "Dropped: what meets them is wrong.",
        ),
    ]
    if rules.get("sigmas"):
        found.append(("Sigmas of keypoints", _sigmas_in_words(rules["sigmas"])))
    return found


def _sigmas_in_words(sigmas: Any) -> str:
    """Classes that share theirs together; before a run has ended they stand as they were asked for."""
    if isinstance(sigmas, list):
        return _one_class(sigmas)
    shared: dict[tuple[float, ...], list[str]] = {}
    for name, values in sigmas.items():
        shared.setdefault(tuple(values), []).append(name)
    return "; ".join(f"{_classes_in_words(names)}: {_one_class(values)}" for values, names in shared.items())


def _classes_in_words(names: list[str]) -> str:
    told = some(sorted(names))
    return f"{told} ({len(names)} classes)" if told.endswith("…") else told


def _one_class(values: Sequence[float]) -> str:
    if list(values) == COCO_SIGMAS:
        return "COCO's own"
    return f"{values[0]:.3g} for each" if len(set(values)) == 1 else ", ".join(f"{value:g}" for value in values)


def _area_in_words(low: float, high: float) -> str:
    if high >= 1e9:
        return f"from {low:g}" if low else "any"
    return f"{low:g} to {high:g}" if low else f"up to {high:g}"


# --- Preprocessing ---------------------------------------------------------------------------------------------------------------
LABELS = {
    "imgsz": "Size",
    "input_size": "Size",
    "resize": "Resizing",
    "crop_pct": "Crop",
    "crop_mode": "Crop mode",
    "interpolation": "Interpolation",
    "mean": "Mean",
    "std": "Standard deviation",
    "stride": "Stride",
}


@dataclass(frozen=True)
class Preparation:
    """One setting: as it was used and as the checkpoint has it; None where that side says nothing."""

    label: str
    used: str | None
    own: str | None

    @property
    def differs(self) -> bool:
        return self.used is not None and self.own is not None and self.used != self.own


def preprocessing_card(test_run: TestRun) -> list[Preparation]:
    """What was done to the images before the model saw them. Empty where nobody recorded it: an imported run does not say."""
    run = test_run.prediction_run
    used: Any = run.generation_params.get("preprocessing", {}) if run else {}
    own = test_run.checkpoint.preprocessing if test_run.checkpoint else {}
    if not isinstance(used, dict) or not used:
        return []
    names = [*(name for name in LABELS if name in used or name in own), *(name for name in used if name not in LABELS)]
    return [
        Preparation(LABELS.get(name, name.replace("_", " ")), _in_words(used.get(name)), _in_words(own.get(name)))
        for name in names
    ]


def _in_words(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return (
            " × ".join(_in_words(one) or "" for one in value)
            if all(isinstance(one, int) for one in value)
            else ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)
        )
    return f"{value:g}" if isinstance(value, float) else str(value)
