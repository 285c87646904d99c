"""Import commands: what they make of a dataset that was not there."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from datasets.models import Dataset
from tests.coco_files import annotation, coco, write
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]
POINTS = {"keypoints": [12, 22, 2, 30, 40, 1], "num_keypoints": 2}


@pytest.mark.parametrize(
    ("points", "asked", "task_type"),
    [(POINTS, {}, "pose"), ({}, {}, "detection"), (POINTS, {"task": "detection"}, "detection")],
    ids=["keypoints", "boxes", "as somebody says"],
)
def test_a_file_of_keypoints_makes_a_dataset_of_poses(
    tmp_path: Path, points: dict[str, Any], asked: dict[str, str], task_type: str
) -> None:
    make_user("root", is_superuser=True)
    categories = [{"id": 7, "name": "cat"} | ({"keypoints": ["head", "tail"], "skeleton": [[1, 2]]} if points else {})]
    path = write(tmp_path / "truth.json", coco(images=1, categories=categories, annotations=[annotation(**points)]))
    call_command("import_coco", "cats", path, **asked)
    assert Dataset.objects.get().task_type == task_type


def test_a_dataset_that_was_there_stays_what_it_is(tmp_path: Path) -> None:
    make_user("root", is_superuser=True)
    path = write(tmp_path / "boxes.json", coco(images=1))
    call_command("import_coco", "cats", path)
    categories = [{"id": 7, "name": "cat", "keypoints": ["head", "tail"], "skeleton": [[1, 2]]}]
    path = write(tmp_path / "points.json", coco(images=1, categories=categories, annotations=[annotation(**POINTS)]))
    call_command("import_coco", "cats", path, split="test")
    assert Dataset.objects.get().task_type == "detection"
