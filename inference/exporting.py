"""Exports to ONNX and TorchScript, and the proof that they still say the same. Work of a worker: imports torch when it begins."""

import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.utils.text import slugify

from datasets.importers.problems import ImportRefused
from datasets.models import JobStatus, Sample
from datasets.runner import Heartbeat
from inference import checkpoints
from inference.adapters.base import AdapterError, Image, InferenceResult
from inference.decoding import decoded
from inference.models import CheckpointExport
from predictions.models import Checkpoint

SAMPLES = 20
ENDINGS = {"onnx": ".onnx", "torchscript": ".torchscript"}
# Two detections are the same object where their boxes agree to a pixel and their confidences to a thousandth.
SAME_PIXELS, SAME_CONFIDENCE = 1.0, 1e-3


def export(job: CheckpointExport, heartbeat: Heartbeat) -> None:
    """Make the file, compare, store it with the verdict, and end the row. Raises ImportRefused in words for people."""
    try:
        _export(job, heartbeat)
    except AdapterError as error:
        raise ImportRefused(str(error), remedy=error.remedy) from None


def _export(job: CheckpointExport, heartbeat: Heartbeat) -> None:
    # The weights as they are, at full precision and on the processor: the export's arithmetic is compared with theirs.
    formats: Any = importlib.import_module("inference.adapters.export_formats")
    heartbeat.progress(0, 3, "loading the weights")
    adapter = checkpoints.load(job.checkpoint, "cpu")
    settings.SCRATCH_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="export-", dir=settings.SCRATCH_ROOT) as folder:
        path = Path(folder) / f"export{ENDINGS[job.format]}"
        heartbeat.progress(1, 3, "exporting")
        formats.write(adapter, job.format, path)
        heartbeat.progress(2, 3, "comparing")
        report = verdict(formats.Comparison(adapter, job.format, path), sample_images(job.checkpoint))
        name = f"{slugify(str(job.checkpoint))[:60] or 'checkpoint'}{ENDINGS[job.format]}"
        with path.open("rb") as file:
            stored = default_storage.save(f"exports/{job.pk}/{name}", File(file))
        if not job.finish(JobStatus.COMPLETED, file=stored, file_size=path.stat().st_size, report=report, progress_done=3):
            default_storage.delete(stored)


# --- The verdict -----------------------------------------------------------------------------------------------------
def verdict(comparison: Any, images: Sequence[tuple[str, Image]]) -> dict[str, Any]:
    """The largest difference of outputs for the same tensors, and the images of which something else is said."""
    largest, changed = 0.0, []
    for name, image in images:
        largest = max(largest, comparison.difference(image))
        before, after = comparison.answers(image)
        if not same_answer(before, after):
            changed.append({"name": name, "before": in_words(before), "after": in_words(after)})
    return {"largest_difference": largest, "image_count": len(images), "changed": changed}


def same_answer(one: InferenceResult, other: InferenceResult) -> bool:
    if one.task_type == "classification" or one.label != other.label:
        return one.label == other.label
    if len(one.objects) != len(other.objects):
        return False
    left = list(other.objects)
    for found in one.objects:
        match = next((candidate for candidate in left if _is_same(found, candidate)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _is_same(one: Any, other: Any) -> bool:
    apart = max(abs(a - b) for a, b in zip(one.box, other.box, strict=True))
    return one.label_id == other.label_id and apart <= SAME_PIXELS and abs(one.confidence - other.confidence) <= SAME_CONFIDENCE


def in_words(result: InferenceResult) -> str:
    """For the list of changed images."""
    if result.task_type == "classification":
        return f"{result.label} ({result.confidence:.3f})"
    return f"{len(result.objects)} objects" + (f", surest {result.label} ({result.confidence:.3f})" if result.objects else "")


def sample_images(checkpoint: Checkpoint) -> list[tuple[str, Image]]:
    """Images of the project, of its newest datasets of that task; drawn noise where it has none."""
    samples = Sample.objects.filter(dataset__project=checkpoint.project).exclude(image="")
    fitting = samples.filter(dataset__task_type=checkpoint.task_type)
    chosen = list((fitting if fitting.exists() else samples).order_by("-dataset_id", "pk")[:SAMPLES])
    found = []
    for sample in chosen:
        with default_storage.open(sample.image) as file:
            found.append((sample.file_name, decoded(file.read())))
    return found or [(f"noise {seed}", _noise(seed)) for seed in range(4)]


def _noise(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)
