"""Filling the demo project: files are written as people bring them, and go through the importers that everybody uses."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path

from django.conf import settings
from django.utils.text import slugify

from accounts.models import Project, User
from accounts.projects import create_project
from config.demo import files
from config.demo.checkpoints import fill_checkpoints
from config.demo.detectors import POSE_RUNS, RUNS
from config.demo.golden import fill_golden_set
from config.demo.judgements import fill_tests
from config.demo.training import fill_trainings
from datasets.creating import create_dataset
from datasets.models import Dataset, JobStatus
from datasets.models.imports import ImportJob
from datasets.requests import make_dataset_import
from datasets.runner import Work, run_job
from datasets.work import work_on
from predictions.importing import run_import
from predictions.models import PredictionRun
from predictions.requests import make_prediction_import

PROJECT = "Demo"
Tell = Callable[[str], None]


class DemoFailed(Exception):
    """An import of the demo's own files did not end well; the text is the import's."""


@dataclass(frozen=True, slots=True)
class Part:
    """A split: how its files are written below a folder (returns the file to import), and what reads them."""

    split: str
    write: Callable[[Path, Pool], Path]
    importer: str = "coco"


@dataclass(frozen=True, slots=True)
class Plan:
    """One dataset of the demo. `runs` stand in the folder `runs` once the files are written, and speak of split val."""

    name: str
    task_type: str
    description: str
    parts: tuple[Part, ...]
    runs: tuple[str, ...] = ()


SIMULATED = (
    "The pictures are drawn by a program, and the runs are simulated with errors of realistic kinds: no network was trained."
)
PLANS = [
    Plan(
        "Breakfast table",
        "segmentation",
        "Fruit and tableware from above: 14 classes with boxes and masks, small berries, heaps marked as crowds, things that "
        f"hide one another, and a few empty tables. {SIMULATED}",
        (
            Part("val", lambda folder, pool: files.write_tables(folder, pool, "val", range(100, 260), with_runs=True)),
            Part("train", lambda folder, pool: files.write_tables(folder, pool, "train", range(1000, 1040), with_runs=False)),
        ),
        tuple(RUNS),
    ),
    Plan(
        "Wooden figures",
        "pose",
        f"Jointed figures with 15 keypoints, some of them under fruit. {SIMULATED}",
        (Part("val", lambda folder, pool: files.write_figures(folder, pool, "val", range(40))),),
        tuple(POSE_RUNS),
    ),
    Plan(
        "Fruit portraits",
        "classification",
        "One thing on each picture, one folder for each of 8 classes. The pictures are drawn by a program.",
        (Part("train", files.write_portraits, "image_folder"),),
    ),
]


def fill_project(user: User, tell: Tell) -> bool:
    """Make what the demo project lacks. False where it lacked nothing. Raises DemoFailed.

    It is the user's personal project, so that it is the first page after the log-in and where commands import to.
    """
    project = Project.objects.filter(personal_owner=user).first() or create_project(user, PROJECT, personal=True)
    missing = [plan for plan in PLANS if not _is_there(project, plan)]
    if missing:
        folder = Path(settings.SCRATCH_ROOT) / "demo"
        try:
            with files.artists() as pool:
                for plan in missing:
                    _fill(user, project, plan, folder / slugify(plan.name), pool, tell)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    steps = (fill_trainings, fill_golden_set, fill_checkpoints, fill_tests)
    filled = [fill(user, project, tell) for fill in steps]
    return any(filled) or bool(missing)


def _is_there(project: Project, plan: Plan) -> bool:
    dataset = project.datasets.filter(name=plan.name).first()
    if dataset is None:
        return False
    splits = set(dataset.splits.filter(sample_count__gt=0).values_list("name", flat=True))
    runs = set(PredictionRun.objects.completed().filter(dataset=dataset).values_list("name", flat=True))
    return splits >= {part.split for part in plan.parts} and runs >= set(plan.runs)


def _fill(user: User, project: Project, plan: Plan, folder: Path, pool: Pool, tell: Tell) -> None:
    """All of a dataset; what an interrupted attempt left is replaced."""
    started = time.monotonic()
    dataset = project.datasets.filter(name=plan.name).first()
    dataset = dataset or create_dataset(user, project, plan.name, plan.task_type, plan.description)
    for part in plan.parts:
        _import_part(user, dataset, part, folder, pool)
    for name in plan.runs:
        _import_run(user, dataset, name, folder)
    dataset.refresh_from_db()
    counts = f"{dataset.sample_count:,} pictures, {dataset.annotation_count:,} labels, {dataset.prediction_count:,} predictions"
    tell(f"{plan.name}: {counts}, {len(plan.runs)} runs ({time.monotonic() - started:.1f} s)")


def _import_part(user: User, dataset: Dataset, part: Part, folder: Path, pool: Pool) -> None:
    source = part.write(folder, pool)
    job = make_dataset_import(
        user, dataset, split=part.split, upload=None, path=source,
        images=folder / "images" if part.importer == "coco" else None,
        importer=part.importer, fixes=[], replace=True, dry_run=False,
    )  # fmt: skip
    _run(job, source, lambda heartbeat: work_on(job, heartbeat))


def _import_run(user: User, dataset: Dataset, name: str, folder: Path) -> None:
    path = folder / "runs" / f"{name}.json"
    job = make_prediction_import(user, dataset, name=name, split="val", upload=None, path=path, fixes=[], dry_run=False)
    _run(job, path, lambda heartbeat: run_import(job, heartbeat))


def _run(job: ImportJob, source: Path, work: Work) -> None:
    """Do it here and now, under a name without the scratch folder, which is gone later."""
    job.source_name = str(source.relative_to(settings.SCRATCH_ROOT / "demo"))
    job.save(update_fields=["source_name"])
    run_job(job, work)
    if job.status != JobStatus.COMPLETED:
        raise DemoFailed(f"{job} ended as {job.status}: {job.error or 'no reason given'}")
