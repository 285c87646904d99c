"""Rows for tests: plain functions with keyword defaults."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from accounts.models import Membership, Project, Role, User
from accounts.projects import create_project
from datasets.models import Annotation, Category, Dataset, Sample, Split
from datasets.runner import run_job
from evaluation import judging, test_runs
from evaluation.models import Alert, AlertChannel, AlertRule, Gate, GateLimit, TestRun
from evaluation.test_runs import Asked
from predictions import curation, draft_items
from predictions.ingest import Firing, Ingested, ingest
from predictions.models import Checkpoint, PredictedObject, PredictionRun, PredictionSet, RunStatus, TrainingJob
from predictions.set_files.base import ItemRecord, made_item

_numbers = count(1)


def make_user(username: str = "", **fields: Any) -> User:
    return User.objects.create_user(username=username or f"user{next(_numbers)}", password="secret-for-tests", **fields)


def make_project(admin: User | None = None, *, name: str = "Birds", **members: User) -> Project:
    """A project; keyword arguments name members by role: make_project(viewer=bob)."""
    project = create_project(admin or make_user(), name)
    for role, user in members.items():
        Membership.objects.create(project=project, user=user, role=Role(role))
    return project


def make_dataset(project: Project | None = None, *, name: str = "", task_type: str = "detection", **fields: Any) -> Dataset:
    name = name or f"set-{next(_numbers)}"
    return Dataset.objects.create(
        project=project or make_project(), name=name, slug=fields.pop("slug", name), task_type=task_type, **fields
    )


def make_split(dataset: Dataset, name: str = "val") -> Split:
    return Split.objects.get_or_create(dataset=dataset, name=name)[0]


def make_category(dataset: Dataset, name: str = "cat", external_id: str = "", **fields: Any) -> Category:
    number = next(_numbers)
    return Category.objects.create(
        dataset=dataset, name=name, external_id=external_id or str(number), position=number, **fields
    )


def make_sample(dataset: Dataset, *, split: str = "val", external_id: str = "", **fields: Any) -> Sample:
    number = next(_numbers)
    defaults: dict[str, Any] = {"file_name": f"{number:06}.jpg", "width": 640, "height": 480}
    return Sample.objects.create(
        dataset=dataset, split=make_split(dataset, split), external_id=external_id or str(number), **(defaults | fields)
    )


def make_annotation(sample: Sample, category: Category, **fields: Any) -> Annotation:
    box: dict[str, Any] = {"x": 10.0, "y": 20.0, "width": 100.0, "height": 50.0, "area": 5000.0, "area_rule": "box"}
    return Annotation.objects.create(sample=sample, category=category, **(box | fields))


def make_run(dataset: Dataset, name: str = "prediction", **fields: Any) -> PredictionRun:
    return PredictionRun.objects.create(
        project=dataset.project, dataset=dataset, name=name, status=RunStatus.COMPLETED, **fields
    )


def make_predicted_object(run: PredictionRun, sample: Sample, category: Category, **fields: Any) -> PredictedObject:
    box: dict[str, Any] = {"score": 0.5, "x": 12.0, "y": 22.0, "width": 100.0, "height": 50.0}
    return PredictedObject.objects.create(run=run, sample=sample, category=category, **(box | fields))


def make_training_job(project: Project | None = None, job_id: str = "", **fields: Any) -> TrainingJob:
    project = project or make_project()
    job_id = job_id or f"job-{next(_numbers)}"
    owner = project.memberships.get(role="admin").user
    return TrainingJob.objects.create(project=project, owner=owner, job_id=job_id, **({"name": job_id} | fields))


def make_answer(index: int = 0, prediction: str = "right", **fields: Any) -> dict[str, Any]:
    """A row as a trainer sends it; its reference is "right"."""
    return {"sample_index": index, "prompt": f"question {index}", "ground_truth": "right", "prediction": prediction} | fields


def make_firing(job: TrainingJob, epoch: float = 1, answers: Any = None, **fields: Any) -> Ingested:
    """Answers of an epoch, stored as the API stores them."""
    step = fields.pop("step", int(epoch * 10))
    return ingest(job, Firing(epoch, step, fields.pop("attempt", 1), **fields), answers or [make_answer(n) for n in range(3)])


def make_item_record(prompt: str = "2 + 2 =", **fields: Any) -> ItemRecord:
    return made_item(row=0, prompt=prompt, **({"references": ["4"]} | fields))


def make_golden_set(
    project: Project | None = None, name: str = "golden", *, items: Any = None, published: bool = True, **fields: Any
) -> PredictionSet:
    """A curated set with a published version, or with a draft alone."""
    asked = curation.create_set(project or make_project(), None, name, **fields)
    draft_items.put_items(asked, items or [make_item_record(f"{number} + {number} =") for number in range(3)])
    if published:
        curation.publish(asked, None, "first")
    return asked


def make_channel(
    project: Project, kind: str = "webhook", target: str = "https://hooks.example.org/touchstone", **fields: Any
) -> AlertChannel:
    return AlertChannel.objects.create(project=project, kind=kind, target=target, name=fields.pop("name", kind), **fields)


def make_rule(job: TrainingJob | None = None, *, channels: Any = (), **fields: Any) -> AlertRule:
    """A rule on the job, or on a set where `prediction_set` is given; looked at since long ago."""
    watched: dict[str, Any] = {"job": job, "project": job.project} if job else {"project": fields["prediction_set"].project}
    long_ago = timezone.now() - timedelta(days=1)
    defaults = {"kind": "previous", "metric": "exact_match", "threshold": 0.1, "watches_from": long_ago, "looked_at": long_ago}
    rule = AlertRule.objects.create(**(watched | defaults | {"name": f"rule-{next(_numbers)}"} | fields))
    rule.channels.set(channels)
    return rule


def make_alert(rule: AlertRule, run: PredictionRun, **fields: Any) -> Alert:
    defaults: dict[str, Any] = {
        "job": run.job,
        "since": run.changed_at,
        "value": 0.2,
        "reference": 0.9,
        "message": "Epoch 1: worse",
    }
    return Alert.objects.create(rule=rule, run=run, **(defaults | fields))


def make_gate(job: TrainingJob | None = None, *, name: str = "release", **fields: Any) -> Gate:
    """A gate for the job's runs, or for those that answer `prediction_set`; keyword arguments that are dicts are its limits."""
    limits = {metric: value for metric, value in fields.items() if isinstance(value, dict)}
    rest = {key: value for key, value in fields.items() if key not in limits}
    gate = Gate(
        project=job.project if job else rest["prediction_set"].project, job=job, name=name, **({"least_items": 2} | rest)
    )
    gate.save()
    GateLimit.objects.bulk_create(GateLimit(gate=gate, metric=metric, **limit) for metric, limit in limits.items())
    return gate


def make_checkpoint(project: Project, **fields: Any) -> Checkpoint:
    """One whose weights are here, as far as the row says."""
    values = {"name": "best", "framework": "onnx", "task_type": "detection", "sha256": "0" * 64, "file_size": 7}
    return Checkpoint.objects.create(project=project, **values | fields)


def make_test_run(run: PredictionRun, **asked: Any) -> TestRun:
    """Judged to its end, as a worker does it."""
    test_run = test_runs.make_from_run(None, run, Asked(**asked))
    run_job(test_run, lambda heartbeat: judging.work_on(test_run, heartbeat))
    return test_run
