"""Test runs of the demo: its runs held against their truth, as states of one training where they are, and a simulated classifier."""

import random
import time
from collections.abc import Callable

from accounts.models import Project, User
from datasets.models import Annotation, Category, Dataset, JobStatus
from datasets.runner import run_job
from evaluation import judging
from evaluation.models import TestRun
from evaluation.test_runs import Asked, make_from_run
from predictions.models import (
    Checkpoint,
    PredictedLabel,
    PredictedObject,
    PredictionRun,
    RunStatus,
    TrainingJob,
    TrainingStatus,
)

# Runs that stand for states of one training, with their epochs.
TRAININGS = {
    "demo-nano": ("Breakfast table, nano", "detection", {"nano-epoch-05": 5, "nano-epoch-20": 20}),
    "demo-pose": ("Wooden figures", "pose", {"pose-epoch-10": 10, "pose-final": 40}),
}
# Runs without masks are judged by their boxes; one with masks by both, so that it can be held against them.
JUDGED = [
    ("nano-epoch-05", "detection"),
    ("nano-epoch-20", "detection"),
    ("small-final", "detection"),
    ("small-final", "segmentation"),
    ("pose-epoch-10", "pose"),
    ("pose-final", "pose"),
    ("portraits-tiny", "classification"),
]
CLASSIFIER, CLASSIFIED = "portraits-tiny", "Fruit portraits"
# Of the simulated classifier: how often the true class stands out, and how far.
RIGHT, STRONG, WEAK = 0.82, 6.0, 3.0
SEED = 7


def fill_tests(user: User, project: Project, tell: Callable[[str], object]) -> bool:
    """Make the test runs that the project lacks. False where it lacks none."""
    _classify(user, project)
    done = set(TestRun.objects.filter(project=project).values_list("prediction_run__name", "task_type"))
    runs = {
        run.name: run for run in PredictionRun.objects.completed().filter(project=project).select_related("dataset", "split")
    }
    missing = [(name, task_type) for name, task_type in JUDGED if name in runs and (name, task_type) not in done]
    if not missing:
        return False
    started = time.monotonic()
    _name_trainings(user, project, runs)
    for name, task_type in missing:
        words = f"{name}, boxes" if name == "small-final" and task_type == "detection" else name
        test_run = make_from_run(user, runs[name], Asked(name=words, task_type=task_type))
        run_job(test_run, lambda heartbeat, mine=test_run: judging.work_on(mine, heartbeat))
        if test_run.status != JobStatus.COMPLETED:
            tell(f"The test of {name} ended as {test_run.status}: {test_run.error}")
    tell(f"Test runs: {len(missing)} ({time.monotonic() - started:.1f} s)")
    return True


def _name_trainings(user: User, project: Project, runs: dict[str, PredictionRun]) -> None:
    """The training and the checkpoint that a run comes from; nothing was trained, they only name the states."""
    for job_id, (name, task_type, epochs) in TRAININGS.items():
        if not epochs.keys() <= runs.keys():
            continue
        job, _ = TrainingJob.objects.get_or_create(
            project=project,
            job_id=job_id,
            defaults={
                "owner": user,
                "name": name,
                "task_type": task_type,
                "status": TrainingStatus.COMPLETED,
                "framework": "simulated",
            },
        )
        for run_name, epoch in epochs.items():
            checkpoint, _ = Checkpoint.objects.get_or_create(
                project=project,
                job=job,
                path=f"{job_id}/epoch-{epoch}.pt",
                defaults={"epoch": epoch, "step": epoch * 100, "name": run_name},
            )
            runs[run_name].generation_params = {"checkpoint": {"id": checkpoint.pk, "name": run_name}}
            runs[run_name].save(update_fields=["generation_params"])


def _classify(user: User, project: Project) -> None:
    """A simulated classifier of the portraits: probabilities of all classes, often of the true one, sometimes of a neighbour."""
    dataset = project.datasets.filter(name=CLASSIFIED).first()
    if dataset is None or PredictionRun.objects.filter(dataset=dataset, name=CLASSIFIER).exists():
        return
    categories = list(dataset.categories.all())
    truth = list(Annotation.objects.filter(sample__dataset=dataset).order_by("sample").values_list("sample", "category"))
    run = PredictionRun.objects.create(
        project=project, dataset=dataset, split=dataset.splits.first(), name=CLASSIFIER, created_by=user,
        generation_params={"class_names": [category.name for category in categories]},
    )  # fmt: skip
    rng = random.Random(SEED)
    answers = [(sample, _answer(rng, categories, category)) for sample, category in truth]
    PredictedLabel.objects.bulk_create(
        [PredictedLabel(run=run, sample_id=sample, probabilities=shares) for sample, shares in answers]
    )
    PredictedObject.objects.bulk_create(
        [
            PredictedObject(run=run, sample_id=sample, category=_first(categories, shares), score=max(shares))
            for sample, shares in answers
        ]
    )
    PredictionRun.objects.filter(pk=run.pk).update(status=RunStatus.COMPLETED, prediction_count=len(answers))
    Dataset.objects.filter(pk=dataset.pk).update(prediction_count=dataset.prediction_count + len(answers))


def _answer(rng: random.Random, categories: list[Category], true: int) -> list[float]:
    at = next(place for place, category in enumerate(categories) if category.pk == true)
    seen = at if rng.random() < RIGHT else (at + rng.choice([1, 1, 2])) % len(categories)
    weights = [rng.expovariate(1) for _ in categories]
    weights[seen] += STRONG if seen == at else WEAK
    weights[at] += rng.random()
    total = sum(weights)
    return [weight / total for weight in weights]


def _first(categories: list[Category], shares: list[float]) -> Category:
    return categories[shares.index(max(shares))]
