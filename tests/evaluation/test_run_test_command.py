"""`manage.py run_test`: figures on the way, the test run's id last, 0 only on success."""

import io
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from PIL import Image

from accounts.models import Project
from datasets.models import Annotation, JobStatus
from datasets.runner import Heartbeat
from evaluation import judging
from evaluation.management.commands import run_test as command
from evaluation.models import TestImageResult, TestRun
from inference import runner
from inference.models import InferenceJob
from predictions.models import Checkpoint
from tests.evaluation.scenes import street
from tests.factories import make_category, make_dataset, make_run, make_sample
from tests.inference.conftest import make_checkpoint, project, shades_known  # noqa: F401 - fixtures


def run_test(*arguments: str) -> list[str]:
    out = io.StringIO()
    call_command("run_test", *arguments, stdout=out)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("by", ["detector", "id"])
def test_it_prints_the_figures_and_the_id(by: str, db: None) -> None:
    _, run = street()
    lines = run_test("street", "--run", "detector" if by == "detector" else str(run.pk))
    found = TestRun.objects.get()
    assert lines[-1] == str(found.pk) and found.status == "completed"
    assert lines[0].startswith(f"AP {'':<20}".rstrip()) and f"{found.metrics['AP']:.6f}" in lines[0]
    assert any(line.startswith("APs") and "not defined: There is no small object." in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["street", "--run", "nobody"], "Runs: detector"),
        (["street", "--run", "detector", "--split", "test"], "Splits: val"),
        (["street", "--run", "detector", "--protocol", "x"], "coco, ultralytics, voc"),
        (["street", "--checkpoint", "77"], "no checkpoint '77'.*There are: none yet"),
        (["street", "--run", "detector", "--iou", "0.5"], "say how a --checkpoint is asked"),
        (["street", "--run", "detector", "--confidence", "7"], "lies between 0 and 1"),
        (["park", "--run", "detector"], "no dataset 'park'"),
    ],
)
def test_what_is_not_there_is_said(arguments: list[str], words: str, db: None) -> None:
    street()
    with pytest.raises(CommandError, match=words):
        run_test(*arguments)
    assert not TestRun.objects.exists()


def test_a_failure_is_told(db: None) -> None:
    street()
    with pytest.raises(CommandError, match="no keypoints"):
        run_test("street", "--run", "detector", "--task", "pose")
    assert TestRun.objects.get().status == "failed"


def test_a_checkpoint_is_asked_first(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, _ = street()
    checkpoint = Checkpoint.objects.create(
        project=dataset.project, name="yolo", path="/w/a.pt", sha256="1", framework="ultralytics", task_type="detection"
    )

    def answer(job: int, bell: Any) -> None:
        run = make_run(dataset, "made")
        InferenceJob.objects.filter(pk=job).update(status=JobStatus.COMPLETED, run=run)

    monkeypatch.setattr(runner, "run_some", answer)
    asked = ("--iou", "0.6", "--max-objects", "50", "--class", "feline=cat")
    lines = run_test("street", "--checkpoint", str(checkpoint.pk), "--split", "val", *asked)
    settings = InferenceJob.objects.get().settings
    assert settings == {"confidence": 0.001, "iou": 0.6, "max_objects": 50, "class_mapping": {"feline": "cat"}}
    found = TestRun.objects.get()
    assert lines[-1] == str(found.pk) and (found.prediction_run.name, found.checkpoint) == ("made", checkpoint)


def test_a_real_checkpoint_s_labels_are_judged(make_checkpoint: Any, project: Project, media_in_tmp: None) -> None:  # noqa: F811
    """Colours, by an adapter that sees them: red, green and blue images, of which one is labelled wrong."""
    pytest.importorskip("torch", reason="devices are torch's: requirements-inference.txt")
    dataset = make_dataset(project, name="colours", task_type="classification")
    categories = {name: make_category(dataset, name) for name in ("red", "green", "blue")}
    for label, colour in [("red", (250, 0, 0)), ("green", (0, 250, 0)), ("blue", (0, 0, 250)), ("red", (0, 0, 250))]:
        Image.new("RGB", (32, 24), colour).save(file := io.BytesIO(), "PNG")
        image = default_storage.save("images/s.png", ContentFile(file.getvalue()))
        Annotation.objects.create(sample=make_sample(dataset, image=image, image_format="PNG"), category=categories[label])
    dataset.splits.update(sample_count=4)
    run_test("colours", "--checkpoint", str(make_checkpoint().pk), "--split", "val")
    found = TestRun.objects.get()
    assert (found.metrics["top1"], found.metrics["top5"], found.class_names) == (0.75, 1.0, ["red", "green", "blue"])
    assert found.confusion_matrix[0] == [1, 0, 1, 0] and found.overall_loss is not None
    assert found.inference_time_ms is not None and found.checkpoint.name == "shades"
    row = TestImageResult.objects.filter(test_run=found, is_correct=False).get()
    assert row.top[0][0] == "blue" and row.loss > 1


def test_rules_come_as_json(db: None) -> None:
    street()
    run_test("street", "--run", "detector", "--rules", '{"match_iou": 0.6, "confidence": 0.5}')
    found = TestRun.objects.get()
    assert (found.protocol["match_iou"], found.metrics["confidence"]) == (0.6, 0.5)


@pytest.mark.parametrize("rules", ["[1]", "{", '{"match_iou": 7}'])
def test_rules_that_make_no_sense_are_refused(rules: str, db: None) -> None:
    street()
    with pytest.raises(CommandError):
        run_test("street", "--run", "detector", "--rules", rules)
    assert not TestRun.objects.exists()


def test_an_interrupted_one_leaves_no_job_behind(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, _ = street()
    checkpoint = Checkpoint.objects.create(project=dataset.project, name="yolo", path="/w/a.pt", sha256="1", framework="onnx")

    def interrupted(job: int, bell: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_some", interrupted)
    with pytest.raises(CommandError, match="Interrupted"):
        run_test("street", "--checkpoint", str(checkpoint.pk), "--split", "val")
    assert InferenceJob.objects.get().status == TestRun.objects.get().status == "cancelled"


def test_what_a_worker_took_first_is_waited_for(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    street()

    def taken(test_run: TestRun, *_: Any) -> None:
        assert test_run.claim()

    def done_elsewhere(seconds: float) -> None:
        found = TestRun.objects.get()
        with Heartbeat(found) as heartbeat:
            judging.work_on(found, heartbeat)

    monkeypatch.setattr(command, "run_job", taken)
    monkeypatch.setattr(command.time, "sleep", done_elsewhere)
    lines = run_test("street", "--run", "detector")
    assert lines[-1] == str(TestRun.objects.get().pk) and lines[0].startswith("AP ")
