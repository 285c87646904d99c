"""Exports say what their origin says, and the verdict notices where one does not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extras import needs

pytestmark = [needs("torch", "timm", "onnx", "onnxruntime"), pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]

from accounts.models import User  # noqa: E402
from config.demo.weights import FOLDER  # noqa: E402
from datasets.models import JobStatus  # noqa: E402
from inference import checkpoints, exporting, loading, tasks  # noqa: E402
from inference.adapters.answers import detected  # noqa: E402
from inference.adapters.base import DetectedObject, InferenceResult  # noqa: E402
from inference.models import CheckpointExport  # noqa: E402
from tests.factories import make_project  # noqa: E402


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_a_classifier_is_exported_with_its_verdict(format: str, user: User) -> None:
    origin = checkpoints.register_path(make_project(user), FOLDER / "digits.pt", checkpoints.Told())
    job = CheckpointExport.objects.create(checkpoint=origin, format=format)
    tasks.run_export(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED, job.error
    assert job.report["largest_difference"] < 1e-3 and job.report["changed"] == [] and job.report["image_count"] > 0


def test_a_registered_export_says_what_its_origin_says(user: User) -> None:
    origin = checkpoints.register_path(make_project(user), FOLDER / "digits.pt", checkpoints.Told())
    job = CheckpointExport.objects.create(checkpoint=origin, format="onnx")
    tasks.run_export(job.pk)
    job.refresh_from_db()
    export = checkpoints.register_exported(job, user)
    image = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    one, other = (loading.load(each, "cpu").infer_single(image) for each in (origin, export))
    assert one.label == other.label and np.allclose(one.probabilities, other.probabilities, atol=1e-5)


class Disagreeing:
    def difference(self, image: Any) -> float:
        return 0.25

    def answers(self, image: Any) -> tuple[InferenceResult, InferenceResult]:
        return tuple(InferenceResult("classification", 1, 1, label, 0, 0.9) for label in ("cat", "dog"))  # type: ignore[return-value]


def test_the_verdict_names_the_images_that_changed() -> None:
    told = exporting.verdict(Disagreeing(), [("a.png", np.zeros((1, 1, 3), np.uint8))])
    assert told["largest_difference"] == 0.25
    assert told["changed"] == [{"name": "a.png", "what": "cat (0.900) became dog (0.900)"}]


def found(label: str, confidence: float, left: float = 10) -> DetectedObject:
    return DetectedObject(label, len(label), confidence, (left, 10, 100, 100))


def said(*objects: DetectedObject) -> InferenceResult:
    return detected("detection", objects, np.zeros((200, 300, 3), np.uint8))


def test_objects_are_matched_by_class_and_overlap_whatever_their_order() -> None:
    one = said(found("cat", 0.9), found("cat", 0.8, 150), found("mouse", 0.7))
    assert exporting.change(one, said(found("cat", 0.8005, 151), found("mouse", 0.7), found("cat", 0.9005))) == ""


def test_a_change_says_what_is_lost_what_is_new_and_what_is_less_sure() -> None:
    one, other = said(found("cat", 0.9), found("mouse", 0.7)), said(found("bird", 0.8), found("cat", 0.75))
    assert exporting.change(one, other) == ("lost mouse (0.700); new bird (0.800); other confidence cat (0.900) became 0.750")


def test_what_stands_at_the_threshold_may_come_and_go() -> None:
    assert exporting.change(said(found("cat", 0.9), found("cat", 0.2501, 150)), said(found("cat", 0.9))) == ""


def test_a_file_that_cannot_be_loaded_fails_in_words(user: User, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"garbage" * 100)
    origin = checkpoints.register_path(make_project(user), tmp_path / "a.pth", checkpoints.Told())
    job = CheckpointExport.objects.create(checkpoint=origin, format="onnx")
    tasks.run_export(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED and "not loaded" in job.error
