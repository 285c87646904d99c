"""The demo: pictures whose truth is exact, runs that differ as they should, a command that can be run again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from pycocotools import mask as coco_mask

from accounts.models import Project, User
from accounts.projects import create_project
from config.demo import checkpoints, files, networks, project
from config.demo.detectors import RUNS, detect_things, overlap
from config.demo.figures import KEYPOINTS, SKELETON, draw_figures
from config.demo.golden import fill_golden_set
from config.demo.scenes import COLUMNS, ROWS, Picture, draw_picture, draw_spread, run_lengths, segmentation
from config.demo.training import fill_trainings
from config.management.commands import demo, make_demo_weights
from datasets.models import Annotation, Dataset, DatasetImport, Split
from evaluation.models import TestRun
from inference.models import InferenceJob
from predictions import trends
from predictions.models import Checkpoint, PredictionRun, PredictionSetVersion, TrainingJob
from predictions.set_content import diff
from tests.factories import make_dataset, make_project, make_sample

BUSY = 20  # a seed whose picture holds many things, a crowd among them


@pytest.fixture(scope="module")
def picture() -> Picture:
    return draw_picture(BUSY)


def test_a_seed_gives_the_same_picture_each_time(picture: Picture) -> None:
    assert np.array_equal(draw_picture(BUSY).pixels, picture.pixels)


def test_a_picture_has_a_crowd_and_single_things(picture: Picture) -> None:
    assert {thing.is_crowd for thing in picture.things} == {True, False}


def test_boxes_lie_within_the_picture(picture: Picture) -> None:
    assert all(x >= 0 and y >= 0 and x + width <= COLUMNS and y + height <= ROWS
               for x, y, width, height in (thing.box for thing in picture.things))  # fmt: skip


def test_run_lengths_are_what_coco_reads(picture: Picture) -> None:
    crowd = next(thing for thing in picture.things if thing.is_crowd)
    read = coco_mask.decode(coco_mask.frPyObjects(run_lengths(crowd), ROWS, COLUMNS))
    assert (
        read.sum() == crowd.area
        and read[crowd.top :, crowd.left :][: crowd.mask.shape[0], : crowd.mask.shape[1]].all() == crowd.mask.all()
    )


def test_polygons_cover_what_the_masks_cover(picture: Picture) -> None:
    outlined = [(thing, segmentation(thing)) for thing in picture.things if thing.area > 500]
    shares = [
        coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(outline, ROWS, COLUMNS))) / thing.area
        for thing, outline in outlined
        if isinstance(outline, list)
    ]
    assert shares == pytest.approx([1.0] * len(shares), abs=0.05)


def test_joints_belong_to_their_figure() -> None:
    _, figures = draw_figures(1)
    assert figures[0].keypoints.shape == (len(KEYPOINTS), 3)
    assert {number for pair in SKELETON for number in pair} == set(range(1, len(KEYPOINTS) + 1))


def found_share(name: str) -> float:
    """The share of single things that a run finds with the right name and half an overlap."""
    hits = total = 0
    for seed in range(20, 26):
        drawn = draw_picture(seed)
        said = detect_things(np.random.default_rng(seed), drawn, RUNS[name])
        for thing in drawn.things:
            total += 1
            hits += any(one.name == thing.name and overlap(one.box, thing.box) > 0.5 for one in said)
    return hits / total


def test_later_runs_are_better_runs() -> None:
    shares = [found_share(name) for name in RUNS]
    assert shares == sorted(shares) and shares[0] < shares[-1] - 0.2


@pytest.fixture
def small_plans(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    """A demo of four pictures; its password and images lie in a folder of the test's."""
    tables = project.Part("val", lambda folder, pool: files.write_tables(folder, pool, "val", range(20, 24), with_runs=True))
    monkeypatch.setattr(project, "PLANS", [project.Plan("Table", "segmentation", "Small.", (tables,), tuple(RUNS))])
    monkeypatch.setattr(demo, "password_file", lambda: tmp_path / "demo.password")
    settings.SCRATCH_ROOT = tmp_path / "scratch"
    settings.STORAGES = {**django_settings.STORAGES, "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path / "media"}}}  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_the_command_fills_a_project_once(small_plans: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("demo", address="http://example.org:9/")
    dataset = Dataset.objects.get()
    first = capsys.readouterr().out
    password = (tmp_path / "demo.password").read_text().strip()

    assert dataset.sample_count == 4 and dataset.annotation_count == Annotation.objects.count() > 20
    assert PredictionRun.objects.completed().of_images().count() == 3 and dataset.prediction_count > 20
    judged = TestRun.objects.filter(status="completed").values_list("prediction_run__name", "task_type", "training_job__job_id")
    assert sorted(judged, key=str) == [
        ("nano-epoch-05", "detection", "demo-nano"),
        ("nano-epoch-20", "detection", "demo-nano"),
        ("small-final", "detection", None),
        ("small-final", "segmentation", None),
    ]
    assert (tmp_path / "demo.password").stat().st_mode & 0o777 == 0o600
    assert User.objects.get().is_superuser and User.objects.get().check_password(password)
    assert "http://example.org:9/" in first and password in first
    assert not (tmp_path / "scratch" / "demo").exists()

    PredictionRun.objects.filter(name="small-final").delete()
    call_command("demo")
    assert PredictionRun.objects.completed().of_images().count() == 3 and Dataset.objects.count() == 1

    imports = DatasetImport.objects.count()
    call_command("demo")
    assert DatasetImport.objects.count() == imports and Project.objects.count() == 1
    assert TestRun.objects.count() == 4
    assert password in capsys.readouterr().out


@pytest.mark.django_db
def test_recorded_trainings_are_replayed_once(user: User) -> None:
    own, said = make_project(user), []
    assert [fill_trainings(user, own, said.append) for _ in range(2)] == [True, False]
    assert sorted(TrainingJob.objects.values_list("job_id", "status", "firing_count", "missed_count")) == [
        ("dates-lr-1e-3", "completed", 15, 0),
        ("dates-lr-4e-3", "completed", 15, 0),
    ]
    for job in TrainingJob.objects.all():
        rates = [trends.as_row(point)["avg_char_error_rate"] for point in trends.points(job)]
        assert len(rates) == 15 and rates[-1] < rates[0] / 4
    # Both were asked the same questions, so that they can be compared.
    assert PredictionSetVersion.objects.count() == 1


@pytest.mark.django_db
def test_the_golden_set_has_two_versions(user: User) -> None:
    own, said = make_project(user), []
    assert [fill_golden_set(user, own, said.append) for _ in range(2)] == [True, False]
    first, second = PredictionSetVersion.objects.order_by("number")
    found = diff(first, second)
    assert (len(found.added), len(found.removed), len(found.changed), found.rules) == (3, 1, 1, ["validators"])


@pytest.mark.django_db
def test_a_password_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(project, "PLANS", [])
    monkeypatch.setattr(demo, "password_file", lambda: tmp_path / "demo.password")
    call_command("demo", password="chosen by hand")
    assert User.objects.get(username="demo").check_password("chosen by hand")


@pytest.mark.django_db(transaction=True)
def test_a_failed_import_fails_the_command(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    def write(folder: Path, pool: Any) -> Path:
        (folder / "images").mkdir(parents=True)
        (folder / "val.json").write_text("not JSON")
        return folder / "val.json"

    monkeypatch.setattr(project, "PLANS", [project.Plan("Broken", "detection", "", (project.Part("val", write),))])
    monkeypatch.setattr(demo, "password_file", lambda: tmp_path / "demo.password")
    settings.SCRATCH_ROOT = tmp_path / "scratch"
    with pytest.raises(CommandError, match="failed"):
        call_command("demo")


# --- Checkpoints -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_classifier_of_digits_is_registered_once(user: User) -> None:
    own, said = make_project(user), []
    assert [checkpoints.fill_checkpoints(user, own, said.append) for _ in range(2)] == [True, False]
    digits = Checkpoint.objects.get()
    assert (digits.framework, digits.task_type) == ("timm", "classification") and digits.inspection["is_harmless"]


def test_a_scene_to_learn_from_holds_only_what_it_shall() -> None:
    drawn = [draw_spread(seed, networks.FRUIT, networks.SIDE) for seed in range(4)]
    assert {thing.name for picture in drawn for thing in picture.things} <= set(networks.FRUIT)
    assert all(picture.pixels.shape == (networks.SIDE, networks.SIDE, 3) and picture.things for picture in drawn)


@pytest.fixture
def quick_training(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> list[str]:
    """Networks that are trained in no time: files that name nothing. The names of those that were."""
    trained = []

    def train(recipe: networks.Recipe, folder: Path, *_: Any) -> dict[str, float]:
        trained.append(recipe.name)
        (folder / f"{recipe.name}.pt").write_bytes(recipe.name.encode())
        return {"metrics/mAP50(B)": 0.9}

    monkeypatch.setattr(networks, "train", train)
    monkeypatch.setattr(checkpoints, "folder", lambda: tmp_path / "networks")
    settings.SCRATCH_ROOT = tmp_path / "scratch"
    return trained


@pytest.mark.django_db
def test_networks_are_made_once_and_registered(quick_training: list[str], user: User) -> None:
    own, said = make_project(user), []
    for _ in range(2):
        checkpoints.fill_networks(user, own, said.append)
    assert quick_training == [recipe.name for recipe in networks.RECIPES] and checkpoints.are_complete(own)
    assert list(Checkpoint.objects.order_by("pk").values_list("name", "task_type")) == [
        (recipe.title, recipe.task_type) for recipe in networks.RECIPES
    ]
    assert any("mAP50(B) 0.900" in line for line in said)


@pytest.mark.django_db
def test_a_network_is_asked_about_the_pictures_of_the_demo(quick_training: list[str], user: User) -> None:
    dataset = make_dataset(make_project(user), name="Wooden figures", slug="figures", task_type="pose")
    make_sample(dataset, split=checkpoints.SPLIT)
    Split.objects.update(sample_count=1)
    checkpoints.fill_networks(user, dataset.project, print)
    assert [(job.checkpoint.name, job.image_count) for job in InferenceJob.objects.all()] == [("Wooden figures", 1)]


@pytest.mark.django_db
def test_without_the_packages_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: User
) -> None:
    call_command("make_demo_weights")
    assert "no demo project" in capsys.readouterr().out
    create_project(user, "Demo", personal=True)
    monkeypatch.setattr(make_demo_weights, "USERNAME", user.username)
    monkeypatch.setattr(checkpoints, "NEEDED", ("no_such_package",))
    call_command("make_demo_weights")
    assert "no_such_package is not installed" in capsys.readouterr().out
