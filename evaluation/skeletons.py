"""The points that the classes of a pose dataset have, and how exactly people place them: OKS goes by these sigmas."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db import connection

from datasets.models import Dataset
from evaluation.metrics.columns import Skeletons
from evaluation.rules import RulesRefused

PERSON = "person"
PERSON_POINTS = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
]  # fmt: skip
# In the order of those points (Ronchi and Perona 2017).
COCO_SIGMAS = [n / 1000 for n in (26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89)]
# For points of which nobody has measured how well people agree, as Ultralytics does.
UNMEASURED_SIGMA = 1 / 17


def point_names(dataset: Dataset, mapping: Mapping[str, str]) -> dict[str, list[str]]:
    """The points of each class that has any, by the class's name under the mapping. Raises RulesRefused.

    Where a category does not name them they are numbers, as many as its objects have.
    """
    rows = list(dataset.categories.order_by("position", "pk").values_list("pk", "name", "keypoint_names"))
    counts = {} if all(names for _, _, names in rows) else _counted(dataset)
    found: dict[str, list[str]] = {}
    for key, name, named in rows:
        points = list(named) or [str(number) for number in range(counts.get(key, 0))]
        kept = found.setdefault(mapping.get(name, name), points)
        if points and kept and points != kept:
            raise RulesRefused("class_mapping", f"{name} cannot count as {mapping.get(name, name)}: their keypoints differ.")
        found[mapping.get(name, name)] = kept or points
    return {name: points for name, points in found.items() if points}


def _counted(dataset: Dataset) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.category_id, max(cardinality(a.keypoints)) / 3 FROM datasets_annotation a"
            " JOIN datasets_sample s ON s.id = a.sample_id WHERE s.dataset_id = %s AND a.keypoints IS NOT NULL GROUP BY 1",
            [dataset.pk],
        )
        return dict(cursor.fetchall())


def sigmas_of(points: Mapping[str, Sequence[str]], given: Any) -> dict[str, list[float]]:
    """Those of each class: as the rule `sigmas` has them, else COCO's for the points of its person, else one value for all.

    The rule is a list for all classes, or one by class. Raises RulesRefused.
    """
    by_class: Mapping[str, list[float]] = given if isinstance(given, dict) else dict.fromkeys(points, given or [])
    unknown = next((name for name in by_class if name not in points), None)
    if unknown is not None:
        raise RulesRefused("sigmas", f"There is no class {unknown!r} with keypoints.")
    found = {}
    for name, its in points.items():
        chosen = by_class.get(name) or (COCO_SIGMAS if _is_person(name, its) else [UNMEASURED_SIGMA] * len(its))
        if len(chosen) != len(its):
            raise RulesRefused("sigmas", f"There are {len(chosen)} sigmas for the {len(its)} keypoints of {name}.")
        found[name] = list(chosen)
    return found


def _is_person(name: str, points: Sequence[str]) -> bool:
    plain = [point.strip().lower().replace(" ", "_").replace("-", "_") for point in points]
    return plain == PERSON_POINTS or (name == PERSON and plain == [str(number) for number in range(len(PERSON_POINTS))])


def unmeasured(sigmas: Mapping[str, Sequence[float]]) -> list[str]:
    """Classes whose sigmas are nobody's."""
    return [name for name, values in sigmas.items() if set(values) == {UNMEASURED_SIGMA}]


def skeletons_of(names: Sequence[str], points: Mapping[str, Sequence[str]], sigmas: Mapping[str, Sequence[float]]) -> Skeletons:
    """For the classes in this order."""
    table = np.full((len(names), max(map(len, sigmas.values()), default=0)), np.nan)
    kinds: dict[tuple[str, ...], int] = {}
    found = np.zeros(len(names), np.int64)
    for place, name in enumerate(names):
        own = tuple(points.get(name, ()))
        table[place, : len(own)] = sigmas.get(name, ())
        found[place] = kinds.setdefault(own, len(kinds))
    return Skeletons(table, found)
