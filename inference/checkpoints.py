"""Saved model states that can be run: registering, trusting and deleting them.

Nothing here loads weights: they are hashed and inspected, byte by byte. Loading is for workers (`inference.loading`).
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from accounts.models import Project, User
from datasets.models import Upload
from datasets.uploads import clean_file_name, remove_upload
from inference import adapters, pickles
from inference.adapters.base import AdapterError
from inference.loading import digest_of, inspect_as
from inference.models import CheckpointExport, InferenceJob, TrustedWeights
from predictions.models import Checkpoint, TrainingJob

# Which class of Ultralytics a pickle names says what it is for, before it is loaded.
TASKS_BY_CLASS = {
    "ultralytics.nn.tasks.ClassificationModel": "classification",
    "ultralytics.nn.tasks.SegmentationModel": "segmentation",
    "ultralytics.nn.tasks.PoseModel": "pose",
    "ultralytics.nn.tasks.DetectionModel": "detection",
}
ENDINGS = {".pt": "", ".pth": "timm", ".bin": "timm", ".safetensors": "timm", ".onnx": "onnx"}
# What the hub says of a model's input, as timm's adapter takes it.
INPUT = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode")


class CheckpointRefused(Exception):
    """A file that cannot be registered or run, or a checkpoint that does not exist: why, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


class NoSuchCheckpoint(CheckpointRefused):
    """What was asked for does not exist; the message lists what does."""


@dataclass(frozen=True)
class Told:
    """What somebody says of the weights when registering them; empty where the file itself must tell."""

    framework: str = ""
    architecture: str = ""
    task_type: str = ""
    class_names: Sequence[str] = ()
    preprocessing: dict[str, Any] | None = None
    name: str = ""
    epoch: float | None = None
    step: int | None = None
    metrics: dict[str, Any] | None = None


# --- Registering -----------------------------------------------------------------------------------------------------
def server_checkpoint(text: str) -> Path:
    """The file inside TOUCHSTONE_CHECKPOINT_ROOTS that the text names, symbolic links resolved. Raises CheckpointRefused.

    What lies outside is answered alike whether it exists or not.
    """
    if not settings.CHECKPOINT_ROOTS:
        raise CheckpointRefused(
            "This server takes no paths of checkpoints.",
            "Upload the file, or let its keeper name folders in TOUCHSTONE_CHECKPOINT_ROOTS.",
        )
    roots = ", ".join(map(str, settings.CHECKPOINT_ROOTS))
    outside = CheckpointRefused(
        "The path is outside the folders that hold this server's checkpoints.",
        f"Put the file into one of: {roots}. Symbolic links that leave it do not count.",
    )
    try:
        path = (settings.CHECKPOINT_ROOTS[0] / text).resolve()
    except (OSError, RuntimeError, ValueError):
        raise outside from None
    if not any(path.is_relative_to(root) for root in settings.CHECKPOINT_ROOTS):
        raise outside
    if not os.path.isfile(path):  # noqa: PTH113 - false also for names that are too long or behind a closed door
        raise CheckpointRefused(f"There is no such file: {text[:200]}.", f"The folders of checkpoints: {roots}.")
    return path


def register_path(
    project: Project, path: Path, told: Told, *, job: TrainingJob | None = None, user: User | None = None
) -> Checkpoint:
    """A file that stays where it is. Raises CheckpointRefused."""
    facts = _facts(path, path.name, told)
    return _store(project, job, user, told, path=str(path), file="", **facts)


def register_upload(upload: Upload, told: Told, *, job: TrainingJob | None = None) -> Checkpoint:
    """A complete upload, which is moved into the file storage. Raises CheckpointRefused."""
    if not upload.is_complete:
        raise CheckpointRefused("The upload is not complete.", f"{upload.received:,} of {upload.size:,} bytes have arrived.")
    checkpoint = _register_copy(upload.project, upload.path, upload.file_name, told, job, upload.owner)
    remove_upload(upload)
    return checkpoint


def register_hub(project: Project, name: str, told: Told, *, job: TrainingJob | None = None) -> Checkpoint:
    """A model of the Hugging Face hub by its name: its weights are fetched and kept here. Raises CheckpointRefused."""
    try:
        found = importlib.import_module("inference.adapters.hub").fetched(name)
    except AdapterError as refusal:
        raise CheckpointRefused(str(refusal), refusal.remedy) from None
    except ImportError as error:
        raise CheckpointRefused(
            f"Names of the hub need the package {error.name}, which is not installed here.",
            "Install requirements-inference.txt.",
        ) from None
    told = replace(
        told,
        framework="timm",
        architecture=told.architecture or found.architecture,
        class_names=told.class_names or found.class_names,
        preprocessing=told.preprocessing or {key: found.config[key] for key in INPUT if found.config.get(key) is not None},
    )
    return _register_copy(project, found.weights, found.weights.name, told, job, None)


def _register_copy(
    project: Project, path: Path, name: str, told: Told, job: TrainingJob | None, user: User | None
) -> Checkpoint:
    """The file is copied into the file storage, and is gone from there where the row fails."""
    facts = _facts(path, name, told)
    with path.open("rb") as file:
        stored = default_storage.save(f"checkpoints/{facts['sha256'][:2]}/{clean_file_name(name)}", File(file))
    try:
        return _store(project, job, user, told, path="", file=stored, **facts)
    except BaseException:
        default_storage.delete(stored)
        raise


def register_exported(export: CheckpointExport, user: User | None) -> Checkpoint:
    """A copy of an export's file as a checkpoint of its own, of the same job and epoch."""
    origin = export.checkpoint
    told = Told("onnx", origin.architecture, origin.task_type, origin.class_names, name=str(export), epoch=origin.epoch)
    with default_storage.open(export.file) as file:
        stored = default_storage.save(f"checkpoints/exported/{Path(export.file).name}", file)
    with default_storage.open(stored) as file:
        digest = digest_of(file)
    return _store(
        origin.project, origin.job, user, told, path="", file=stored, framework="onnx", sha256=digest.sha256,
        file_size=digest.size, inspection=pickles.Inspection("onnx").as_json(), task_type=origin.task_type,
    )  # fmt: skip


def _facts(path: Path, name: str, told: Told) -> dict[str, Any]:
    """Framework, size, digest and the verdict of the inspection."""
    framework = told.framework or _framework_of(path, name)
    if framework not in adapters.known():
        raise CheckpointRefused(
            f"There is no adapter '{framework}'.", f"Name the framework: one of {', '.join(sorted(adapters.known()))}."
        )
    with path.open("rb") as file:
        digest = digest_of(file)
    if digest.size == 0:
        raise CheckpointRefused("The file is empty.", "Was it copied to its end?")
    inspection = inspect_as(framework, path, Path(name).suffix)
    return {
        "framework": framework,
        "sha256": digest.sha256,
        "file_size": digest.size,
        "inspection": inspection,
        "task_type": told.task_type or _task_of(framework, inspection["globals"]),
    }


def _task_of(framework: str, named: Sequence[str]) -> str:
    """As far as it shows before loading; empty where only the worker will know."""
    if framework == "timm":
        return "classification"
    return next((task for name, task in TASKS_BY_CLASS.items() if name in named), "")


def _framework_of(path: Path, name: str) -> str:
    """By the file's ending; of torch's own files, those that name Ultralytics' classes are Ultralytics'."""
    ending = Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise CheckpointRefused(
            f"A file called {name[:80]} is none of weights.", f"Known endings: {', '.join(ENDINGS)}. Or name the framework."
        )
    if ENDINGS[ending]:
        return ENDINGS[ending]
    found = pickles.inspect(path, pickles.ULTRALYTICS, ending)
    return "ultralytics" if any(name.startswith("ultralytics.") for name in found.globals) else "timm"


@transaction.atomic
def _store(project: Project, job: TrainingJob | None, user: User | None, told: Told, **facts: Any) -> Checkpoint:
    """A new row, or the one that the training has told of by that path and step."""
    values = facts | {
        "project": project,
        "name": told.name[:200],
        "architecture": told.architecture[:200],
        "class_names": list(told.class_names) or (_names_of(job) if job else []),
        "preprocessing": told.preprocessing or {},
        "epoch": told.epoch,
        "created_by": user,
    }
    if told.metrics is not None:
        values["metrics"] = told.metrics
    known = Checkpoint.objects.filter(job=job, step=told.step, path=facts["path"]) if job and facts["path"] else None
    if known and (found := known.first()):
        told_before = {"name": found.name, "epoch": found.epoch}
        values |= {key: before for key, before in told_before.items() if not values[key]}
        Checkpoint.objects.filter(pk=found.pk).update(**values)
        found.refresh_from_db()
        return found
    return Checkpoint.objects.create(job=job, step=told.step, **values)


def _names_of(job: TrainingJob) -> list[str]:
    names = job.config.get("class_names") or job.config.get("names") or []
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=lambda key: (len(key), key))]
    return [str(name) for name in names] if isinstance(names, list) else []


def adopt(checkpoint: Checkpoint) -> bool:
    """A training has told of this checkpoint: where its file lies inside the roots, it becomes one that can be run."""
    try:
        path = server_checkpoint(checkpoint.path)
        job = checkpoint.job
        framework = job.framework if job and job.framework in adapters.known() else ""
        task_type = job.task_type if job and job.task_type != "text" else ""
        facts = _facts(path, path.name, Told(framework=framework, task_type=task_type))
    except (CheckpointRefused, OSError):
        return False
    Checkpoint.objects.filter(pk=checkpoint.pk).update(**facts, class_names=_names_of(job) if job else [])
    return True


def delete_checkpoint(checkpoint: Checkpoint) -> int:
    """The row, its jobs, exports, and the file if it was uploaded; returns how many inference jobs went. A server's file stays."""
    jobs = InferenceJob.objects.filter(checkpoint=checkpoint).count()
    stored = [
        name
        for name in [checkpoint.file, *CheckpointExport.objects.filter(checkpoint=checkpoint).values_list("file", flat=True)]
        if name
    ]
    checkpoint.delete()
    for name in stored:
        transaction.on_commit(partial(default_storage.delete, name))
    return jobs


# --- Trust -----------------------------------------------------------------------------------------------------------
def trust(checkpoint: Checkpoint, user: User, note: str) -> TrustedWeights:
    """An administrator of the server vouches for the file, by its digest."""
    return TrustedWeights.objects.get_or_create(sha256=checkpoint.sha256, defaults={"note": note[:300], "trusted_by": user})[0]
