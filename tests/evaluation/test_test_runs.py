"""Test runs as jobs: asked for, waiting for predictions, cancelled, lost with their worker, deleted with what they are about."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Role
from datasets.deleting import delete_dataset
from datasets.models import Job, JobStatus
from datasets.recovery import BELLS, ring_forgotten
from datasets.runner import run_job
from evaluation import judging, tasks, test_jobs, test_runs
from evaluation.metrics.outcome import Outcome
from evaluation.models import TestImageResult, TestMatches, TestRun
from evaluation.test_runs import Asked, TestConflict, TestRefused
from inference.models import InferenceJob
from predictions.models import Checkpoint, PredictionRun
from predictions.runs import delete_run
from tests.evaluation.scenes import street
from tests.factories import make_dataset, make_run, make_test_run, make_user
from tests.processes import kill

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Test runs that are rung for, and rung no further."""
    rung: list[int] = []
    for name in ("delay", "delay_on_commit"):
        monkeypatch.setattr(tasks.run_test, name, rung.append)
    return rung


@pytest.fixture
def waiting(db: None) -> TestRun:
    """Of a checkpoint whose inference is still at it."""
    dataset, run = street()
    run.delete()
    checkpoint = Checkpoint.objects.create(project=dataset.project, name="yolo", sha256="1")
    job = InferenceJob.objects.create(
        project=dataset.project, checkpoint=checkpoint, kind="dataset", dataset=dataset, status=JobStatus.RUNNING,
        heartbeat_at=timezone.now(),
    )  # fmt: skip
    return test_runs.make_from_checkpoint(None, checkpoint, dataset, dataset.splits.get(), job, Asked())


# --- Asking ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"protocol": "pascal"}, "protocol"),
        ({"rules": {"match_iou": 2}}, "rules.match_iou"),
        ({"rules": {"iou_thresholds": [0.7, 0.5]}}, "rules.iou_thresholds"),
        ({"rules": {"areas": {"small": [0, 10]}}}, "rules.areas"),
        ({"rules": {"max_detections": [0]}}, "rules.max_detections"),
        ({"rules": {"class_mapping": {"cat": 1}}}, "rules.class_mapping"),
        ({"rules": {"class_mapping": {"cat\0": "dog"}}}, "rules.class_mapping"),
        ({"rules": {"class_mapping": {"cat": "d" * 301}}}, "rules.class_mapping"),
        ({"rules": {"sigmas": {"cat\0": [0.1]}}}, "rules.sigmas"),
        ({"rules": {"areas": {"all": [0, float("inf")]}}}, "rules.areas"),
        ({"rules": {"confidence": True}}, "rules.confidence"),
        ({"rules": {"crowds": "count"}}, "rules.crowds"),
        ({"rules": {"sigmas": [0]}}, "rules.sigmas"),
        ({"rules": {"sigmas": {"cat": [0]}}}, "rules.sigmas"),
        ({"rules": {"sigmas": {}}}, "rules.sigmas"),
        ({"rules": {"kind": "segm"}}, "rules.kind"),
        ({"rules": {"maxDets": 3}}, "rules.maxDets"),
    ],
)
def test_rules_that_cannot_be_are_refused_by_name(asked: dict[str, Any], field: str, db: None) -> None:
    _, run = street()
    with pytest.raises(TestRefused) as refused:
        test_runs.make_from_run(None, run, Asked(**asked))
    assert refused.value.field == field and not TestRun.objects.exists()


def test_a_dataset_without_images_is_refused(db: None) -> None:
    with pytest.raises(TestRefused, match="no images"):
        test_runs.make_from_run(None, make_run(make_dataset()), Asked())


def test_another_dataset_s_split_is_refused(db: None) -> None:
    _, run = street()
    other = make_dataset()
    with pytest.raises(TestRefused, match="no split"):
        test_runs.make_from_run(None, run, Asked(split=other.splits.create(name="val")))


def test_a_new_one_is_rung_for(bells: list[int], db: None) -> None:
    dataset, run = street()
    found = test_jobs.start_from_run(dataset.project.memberships.get(role=Role.ADMIN).user, run, Asked())
    assert bells == [found.pk] and found.status == "pending"


# --- Waiting -----------------------------------------------------------------------------------------------------------
def test_it_waits_for_its_predictions(waiting: TestRun) -> None:
    tasks.run_test(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.attempts, waiting.stage) == ("pending", 0, test_runs.WAITING)
    assert not test_runs.waiting().exists()


def test_it_goes_on_by_itself_when_they_have_come(waiting: TestRun, bells: list[int]) -> None:
    run = make_run(waiting.dataset, "made")
    InferenceJob.objects.update(status=JobStatus.COMPLETED, run=run)
    tasks.go_on_with_tests()
    assert bells == [waiting.pk]
    tasks.run_test(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.prediction_run, waiting.total_images) == ("completed", run, 3)


def test_it_fails_in_words_with_its_inference(waiting: TestRun, bells: list[int]) -> None:
    InferenceJob.objects.update(status=JobStatus.FAILED, error="Out of memory.")
    tasks.go_on_with_tests()
    tasks.run_test(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.status == "failed" and "Out of memory." in waiting.error and bells == [waiting.pk]


def test_it_fails_in_words_where_its_checkpoint_was_deleted(waiting: TestRun, bells: list[int]) -> None:
    Checkpoint.objects.all().delete()
    tasks.go_on_with_tests()
    tasks.run_test(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.status == "failed" and "was deleted" in waiting.error


def test_cancelling_it_cancels_what_only_it_waits_for(waiting: TestRun) -> None:
    test_jobs.cancel(waiting)
    assert InferenceJob.objects.get().status == TestRun.objects.get().status == "cancelled"


# --- Ending ------------------------------------------------------------------------------------------------------------
def test_a_cancelled_one_writes_nothing(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    _, run = street()
    found = test_runs.make_from_run(None, run, Asked())
    write = judging.write

    def cancelled(test_run: TestRun, material: judging.Material, outcome: Outcome) -> None:
        TestRun.objects.get(pk=test_run.pk).cancel()
        write(test_run, material, outcome)

    monkeypatch.setattr(judging, "write", cancelled)
    run_job(found, lambda heartbeat: judging.work_on(found, heartbeat))
    assert found.status == "cancelled" and not TestImageResult.objects.exists()


def test_a_cancelled_one_goes_again(bells: list[int], db: None) -> None:
    _, run = street()
    found = test_runs.make_from_run(None, run, Asked())
    test_jobs.cancel(found)
    test_jobs.retry(found)
    assert (found.status, bells) == ("pending", [found.pk])
    tasks.run_test(found.pk)
    found.refresh_from_db()
    assert found.status == "completed"


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_without_its_predictions_the_checkpoint_is_asked_anew(waiting: TestRun, bells: list[int], ending: str) -> None:
    Checkpoint.objects.update(framework="onnx")
    InferenceJob.objects.update(split=waiting.dataset.splits.get(), settings={"iou": 0.5})
    if ending == "cancelled":
        test_jobs.cancel(waiting)
    else:
        InferenceJob.objects.update(status=JobStatus.FAILED, error="Out of memory.")
        tasks.run_test(waiting.pk)
    waiting.refresh_from_db()
    first = waiting.inference
    assert waiting.status == ending
    test_jobs.retry(waiting)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.stage, waiting.error) == ("pending", test_runs.WAITING, "")
    assert waiting.inference != first and (waiting.inference.status, waiting.inference.settings) == ("pending", {"iou": 0.5})
    run = make_run(waiting.dataset, "made")
    InferenceJob.objects.filter(pk=waiting.inference_id).update(status=JobStatus.COMPLETED, run=run)
    tasks.run_test(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.status == "completed"


def test_classes_that_a_checkpoint_cannot_know_are_warned_of(db: None) -> None:
    _, run = street()
    told = {"inference_job": 1, "class_names": ["cat", "hound"]}
    for mapping, words in [({}, ["no class called dog, so nothing of it could be found"]), ({"hound": "dog"}, [])]:
        PredictionRun.objects.update(generation_params=told | {"class_mapping": mapping})
        run.refresh_from_db()
        found = make_test_run(run)
        warned = [warning for warning in found.warnings if "no class called" in warning]
        assert len(warned) == len(words) and all(word in warning for word, warning in zip(words, warned, strict=True))


def test_a_completed_one_is_neither_cancelled_nor_tried_again(db: None) -> None:
    _, run = street()
    found = make_test_run(run)
    for call in (test_jobs.cancel, test_jobs.retry):
        with pytest.raises(TestConflict):
            call(found)


def test_images_that_go_meanwhile_fail_it_in_words(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    dataset, run = street()
    found = test_runs.make_from_run(None, run, Asked())
    write = judging.write

    def robbed(*args: Any) -> None:
        dataset.samples.first().delete()
        write(*args)

    monkeypatch.setattr(judging, "write", robbed)
    run_job(found, lambda heartbeat: judging.work_on(found, heartbeat))
    assert found.status == "failed" and "Images were removed" in found.error and not TestImageResult.objects.exists()


def test_the_second_time_replaces_the_first(db: None) -> None:
    _, run = street()
    found = make_test_run(run)
    TestRun.objects.update(status=JobStatus.RUNNING)
    found.refresh_from_db()
    found.requeue()
    tasks.run_test(found.pk)
    assert TestImageResult.objects.count() == 3 and TestMatches.objects.count() == 1


# --- Lost workers ------------------------------------------------------------------------------------------------------
def test_a_forgotten_one_is_rung_for_again(bells: list[int], db: None) -> None:
    assert BELLS[TestRun] == "evaluation.tasks.run_test"
    _, run = street()
    found = test_runs.make_from_run(None, run, Asked())
    TestRun.objects.update(queued_at=timezone.now() - timedelta(hours=1))
    ring_forgotten()
    assert bells == [found.pk]


HANGS = """
import sys, time
import django
django.setup()
from datasets.runner import run_job
from evaluation import judging
from evaluation.models import TestRun
write = judging._copy_images
def hang(*args):
    write(*args)
    print("written", flush=True)
    time.sleep(600)
judging._copy_images = hang
test_run = TestRun.objects.get(pk=int(sys.argv[1]))
run_job(test_run, lambda heartbeat: judging.work_on(test_run, heartbeat))
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_writes_costs_nothing(bells: list[int]) -> None:
    _, run = street()
    found = test_runs.make_from_run(None, run, Asked())
    child = subprocess.Popen(
        [sys.executable, "-c", HANGS, str(found.pk)], cwd=ROOT, env=os.environ | {"DATABASE_URL": database_url()},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout and child.stdout.readline() == b"written\n"
    kill(child.pid)
    child.wait()
    found.refresh_from_db()
    assert found.status == "running" and not TestImageResult.objects.exists()
    TestRun.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    ring_forgotten()
    assert bells == [found.pk]
    until = time.monotonic() + 30
    while time.monotonic() < until:  # the server notices that the killed one is gone, and frees its locks
        tasks.run_test(found.pk)
        found.refresh_from_db()
        if found.status == "completed":
            break
    assert (found.status, found.attempts) == ("completed", 2) and TestImageResult.objects.count() == 3


def database_url() -> str:
    told = connection.settings_dict
    return f"postgres://{quote(told['USER'], '')}:{quote(told['PASSWORD'], '')}@{quote(told['HOST'], '')}:{told['PORT'] or ''}/{told['NAME']}"


# --- Deleting ----------------------------------------------------------------------------------------------------------
def nothing_left() -> bool:
    return not any(table.objects.exists() for table in (TestRun, TestImageResult, TestMatches))


def test_deleting_one_leaves_the_predictions(db: None) -> None:
    _, run = street()
    test_runs.delete(make_test_run(run))
    assert nothing_left() and PredictionRun.objects.filter(pk=run.pk).exists()


def test_it_goes_with_its_predictions(db: None) -> None:
    _, run = street()
    make_test_run(run)
    delete_run(run)
    assert nothing_left()


def test_it_goes_with_its_dataset(db: None, waiting: TestRun) -> None:
    make_test_run(make_run(waiting.dataset, "other"))
    delete_dataset(waiting.dataset)
    assert nothing_left() and not InferenceJob.objects.exists()


def test_one_that_was_deleted_while_it_ran_ends_quietly(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    _, run = street()
    found = test_runs.make_from_run(None, run, Asked())
    read = judging.read

    def deleted(test_run: TestRun, *args: Any) -> judging.Material:
        material = read(test_run, *args)
        TestRun.objects.filter(pk=test_run.pk).delete()
        return material

    monkeypatch.setattr(judging, "read", deleted)
    tasks.run_test(found.pk)
    assert nothing_left()


def test_strangers_see_none(db: None) -> None:
    _, run = street()
    make_test_run(run)
    assert not TestRun.objects.visible_to(make_user()).exists()
    assert issubclass(TestRun, Job)
