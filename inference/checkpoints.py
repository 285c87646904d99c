"""Saved model states that can be run: registering, finding, verifying and loading them.

Nothing here loads weights in the process that asks for a registration: there they are hashed and inspected, byte by byte. Loading is
for workers.
"""

import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from accounts.models import Project, User
from datasets.models import Upload
from datasets.uploads import Readable, clean_file_name, remove_upload
from inference import adapters, pickles
from inference.adapters.base import Adapter, AdapterError, CheckpointSpec
from inference.models import CheckpointExport, InferenceJob, TrustedWeights
from predictions.models import Checkpoint, TrainingJob

PIECE = 1024 * 1024
# Which class of Ultralytics a pickle names says what it is for, before it is loaded.
TASKS_BY_CLASS = {
    "ultralytics.nn.tasks.ClassificationModel": "classification",
    "ultralytics.nn.tasks.SegmentationModel": "segmentation",
    "ultralytics.nn.tasks.PoseModel": "pose",
    "ultralytics.nn.tasks.DetectionModel": "detection",
}
ENDINGS = {".pt": "", ".pth": "timm", ".bin": "timm", ".safetensors": "timm", ".onnx": "onnx"}
# Metrics by which a checkpoint may be called the best, and whether more is better; the first that is known counts.
DIRECTIONS = {
    "top1": True, "accuracy": True, "map50_95": True, "map": True, "map50": True, "f1": True, "fitness": True,
    "loss": False, "error_rate": False,
}  # fmt: skip
MOST_LISTED = 10
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


def inspect_as(framework: str, path: Path, ending: str = "") -> dict[str, Any]:
    """What loading the file with that adapter would run, as stored with the checkpoint. `ending` as `pickles.inspect` has it."""
    if framework not in ("timm", "ultralytics") and not _looks_pickled(path):
        return pickles.Inspection(framework).as_json()
    allowed = pickles.ULTRALYTICS if framework == "ultralytics" else pickles.STATE_DICTS
    # Ultralytics' adapter reads every file as torch's, whatever it is called.
    return pickles.inspect(path, allowed, ".pt" if framework == "ultralytics" else ending).as_json()


def _looks_pickled(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2).startswith((b"PK", b"\x80"))


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


# --- Finding ---------------------------------------------------------------------------------------------------------
def resolve(job: TrainingJob, wanted: str = "best") -> Checkpoint:
    """`best`, `last` or an epoch's number, of those of the job that can be run. Raises NoSuchCheckpoint."""
    runnable = list(Checkpoint.objects.filter(job=job).runnable().order_by("step", "epoch", "pk"))
    if not runnable:
        told = Checkpoint.objects.filter(job=job).count()
        raise NoSuchCheckpoint(
            f"The training job {job.name} has no checkpoint that can be run here"
            + (f"; it told of {told}, whose files this server does not have." if told else "."),
            "Upload one, or register it from a folder of TOUCHSTONE_CHECKPOINT_ROOTS.",
        )
    if wanted == "last":
        return runnable[-1]
    if wanted == "best":
        return _best(job, runnable)
    found = [checkpoint for checkpoint in runnable if _is_epoch(checkpoint, wanted)]
    if not found:
        raise NoSuchCheckpoint(f"The training job {job.name} has no checkpoint '{wanted[:40]}'.", _existing(runnable))
    return found[-1]


def _is_epoch(checkpoint: Checkpoint, wanted: str) -> bool:
    try:
        return checkpoint.epoch is not None and float(wanted) == checkpoint.epoch
    except ValueError:
        return False


def _existing(runnable: Sequence[Checkpoint]) -> str:
    epochs = [f"{checkpoint.epoch:g}" for checkpoint in runnable if checkpoint.epoch is not None]
    return f"There are: best, last{''.join(f', {epoch}' for epoch in epochs[-MOST_LISTED:])}."


def _best(job: TrainingJob, runnable: Sequence[Checkpoint]) -> Checkpoint:
    """By the metric that the job's config names (`metric`, `greater_is_better`), else the first that is known here."""
    metric, more_is_better = _metric_of(job, runnable)
    scored = [checkpoint for checkpoint in runnable if isinstance(checkpoint.metrics.get(metric), int | float)]
    if not scored:
        metrics = sorted({name for checkpoint in runnable for name in checkpoint.metrics})
        raise NoSuchCheckpoint(
            f"No checkpoint of {job.name} says how good it is" + (f" by '{metric}'." if metric else "."),
            f"{_existing(runnable)} Metrics told: {', '.join(metrics[:MOST_LISTED]) or 'none'}; name one as `metric` in the config.",
        )
    return (max if more_is_better else min)(scored, key=lambda checkpoint: checkpoint.metrics[metric])


def _metric_of(job: TrainingJob, runnable: Sequence[Checkpoint]) -> tuple[str, bool]:
    named = job.config.get("metric") or job.config.get("metric_for_best_model")
    if isinstance(named, str):
        stated = job.config.get("greater_is_better")
        return named, stated if isinstance(stated, bool) else _more_is_better(named)
    told = {name for checkpoint in runnable for name in checkpoint.metrics}
    for known in DIRECTIONS:
        if found := next((name for name in sorted(told) if _plain(name) == known), None):
            return found, DIRECTIONS[known]
    return "", True


def _plain(name: str) -> str:
    """`metrics/mAP50-95(B)`, `eval_loss` and the like by their plain names."""
    last = name.rsplit("/", 1)[-1].split("(")[0].lower().replace("-", "_")
    return last.removeprefix("eval_").removeprefix("val_").removesuffix("_acc")


def _more_is_better(name: str) -> bool:
    plain = _plain(name)
    return DIRECTIONS.get(plain, not plain.endswith(("loss", "error", "error_rate", "wer", "cer")))


# --- Loading, in workers ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Digest:
    sha256: str
    size: int  # bytes


def digest_of(source: Readable, copy: BinaryIO | None = None) -> Digest:
    """Of all that is left of the source, which is written to `copy` on the way."""
    sha256, size = hashlib.sha256(), 0
    while piece := source.read(PIECE):
        sha256.update(piece)
        size += len(piece)
        if copy:
            copy.write(piece)
    return Digest(sha256.hexdigest(), size)


def is_trusted(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.sha256) and TrustedWeights.objects.filter(sha256=checkpoint.sha256).exists()


@contextmanager
def verified_copy(checkpoint: Checkpoint) -> Iterator[Path]:
    """The weights in a folder of our own, for as long as it takes, proven to be those that were registered.

    What is loaded is the very copy that was hashed: nobody can put another file in its place between the two.
    """
    settings.SCRATCH_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="weights-", dir=settings.SCRATCH_ROOT))
    try:
        copy = folder / f"weights{_ending(checkpoint)}"
        with _opened(checkpoint) as source, copy.open("wb") as target:
            digest = digest_of(source, target)
        if digest.sha256 != checkpoint.sha256:
            raise AdapterError(
                f"The file of this checkpoint has changed since it was registered (its digest was {checkpoint.sha256[:12]}…, "
                f"now it is {digest.sha256[:12]}…).",
                "Register it anew, or put the old file back.",
            )
        yield copy
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ending(checkpoint: Checkpoint) -> str:
    if checkpoint.framework == "ultralytics":
        return ".pt"
    return ".onnx" if checkpoint.framework == "onnx" else Path(checkpoint.file or checkpoint.path).suffix.lower()


def _opened(checkpoint: Checkpoint) -> Any:
    if not checkpoint.sha256:
        raise AdapterError("Of this checkpoint only a path on another machine is known.", "Register or upload its file.")
    try:
        return default_storage.open(checkpoint.file) if checkpoint.file else Path(checkpoint.path).open("rb")
    except OSError as error:
        raise AdapterError(
            f"The file of this checkpoint cannot be read ({error.strerror or error}).", "Put it back, or register it anew."
        ) from None


def load(checkpoint: Checkpoint, device: str) -> Adapter:
    """The checkpoint, verified, inspected and loaded; what its file tells of itself is written to the row. Raises AdapterError."""
    os.environ.setdefault("YOLO_CONFIG_DIR", str(settings.DATA_DIR / "ultralytics"))
    made = adapters.adapter(checkpoint.framework)()
    devices = importlib.import_module("inference.devices")
    devices.set_determinism(settings.INFERENCE_DETERMINISTIC)
    trusted = is_trusted(checkpoint)
    with verified_copy(checkpoint) as path:
        if not trusted:
            _check_harmless(inspect_as(checkpoint.framework, path))
        made.load_checkpoint(path, device, _spec(checkpoint, trusted))
    _note_loaded(checkpoint, made)
    return made


def _check_harmless(inspection: dict[str, Any]) -> None:
    if inspection["is_harmless"]:
        return
    why = inspection["problem"] or f"loading it would need {', '.join(inspection['refused'][:MOST_LISTED])}"
    raise AdapterError(
        f"These weights are not loaded, as they may run code of their own: {why}",
        "An administrator of this server can mark exactly this file as trusted on the checkpoint's page.",
    )


def _spec(checkpoint: Checkpoint, trusted: bool) -> CheckpointSpec:
    return CheckpointSpec(
        architecture=checkpoint.architecture,
        task_type=checkpoint.task_type,
        class_names=tuple(checkpoint.class_names),
        preprocessing=checkpoint.preprocessing,
        trusted=trusted,
        deterministic=settings.INFERENCE_DETERMINISTIC,
    )


def _note_loaded(checkpoint: Checkpoint, loaded: Adapter) -> None:
    known = {
        "task_type": loaded.task_type,
        "class_names": loaded.class_names,
        "preprocessing": loaded.preprocessing,
        "architecture": checkpoint.architecture or getattr(loaded, "architecture", ""),
    }
    changed = {key: value for key, value in known.items() if getattr(checkpoint, key) != value}
    if changed:
        Checkpoint.objects.filter(pk=checkpoint.pk).update(**changed)
        for key, value in changed.items():
            setattr(checkpoint, key, value)


# --- Trust -----------------------------------------------------------------------------------------------------------
def trust(checkpoint: Checkpoint, user: User, note: str) -> TrustedWeights:
    """An administrator of the server vouches for the file, by its digest."""
    return TrustedWeights.objects.get_or_create(sha256=checkpoint.sha256, defaults={"note": note[:300], "trusted_by": user})[0]
