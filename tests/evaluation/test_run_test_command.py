"""`manage.py run_test`: figures on the way, the test run's id last, 0 only on success."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from datasets.models import JobStatus
from evaluation.models import TestRun
from inference import runner
from inference.models import InferenceJob
from predictions.models import Checkpoint
from tests.evaluation.scenes import street
from tests.factories import make_run


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
        (["street", "--checkpoint", "77"], "no checkpoint '77'"),
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
    lines = run_test("street", "--checkpoint", str(checkpoint.pk), "--split", "val")
    found = TestRun.objects.get()
    assert lines[-1] == str(found.pk) and (found.prediction_run.name, found.checkpoint) == ("made", checkpoint)
