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
from inference import loading
from inference.adapters.base import DEFAULTS, AdapterError, DetectedObject, Image, InferenceResult
from inference.decoding import decoded
from inference.models import CheckpointExport
from inference.suppression import overlap
from predictions.models import Checkpoint

SAMPLES = 20
ENDINGS = {"onnx": ".onnx", "torchscript": ".torchscript"}
# Two detections are the same object where their boxes overlap by this much, and the same answer where their confidences agree, too.
SAME_OVERLAP, SAME_CONFIDENCE = 0.9, 1e-3
MOST_TOLD = 5


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
    adapter = loading.load(job.checkpoint, "cpu")
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
        if what := change(before, after):
            changed.append({"name": name, "what": what})
    return {"largest_difference": largest, "image_count": len(images), "changed": changed}


def change(before: InferenceResult, after: InferenceResult) -> str:
    """What the export says otherwise, in words; empty where it says the same."""
    if before.task_type == "classification":
        return "" if before.label == after.label else f"{_said(before)} became {_said(after)}"
    pairs, lost, new = matched(before.objects, after.objects)
    moved = [(one, other) for one, other in pairs if abs(one.confidence - other.confidence) > SAME_CONFIDENCE]
    parts = [
        f"lost {_listed([_said(each) for each in lost if _is_told(each)])}",
        f"new {_listed([_said(each) for each in new if _is_told(each)])}",
        f"other confidence {_listed([f'{_said(one)} became {other.confidence:.3f}' for one, other in moved])}",
    ]
    return "; ".join(part for part in parts if not part.endswith(" "))


def matched(
    before: Sequence[DetectedObject], after: Sequence[DetectedObject]
) -> tuple[list[tuple[DetectedObject, DetectedObject]], list[DetectedObject], list[DetectedObject]]:
    """Objects of one class whose boxes overlap almost wholly, surest first, each once; then what is left on either side."""
    pairs, lost, left = [], [], list(after)
    for one in before:
        rivals = [other for other in left if other.label_id == one.label_id and overlap(one.box, other.box) >= SAME_OVERLAP]
        if rivals:
            found = max(rivals, key=lambda other: overlap(one.box, other.box))
            left.remove(found)
            pairs.append((one, found))
        else:
            lost.append(one)
    return pairs, lost, left


def _is_told(found: DetectedObject) -> bool:
    """One that stands at the threshold itself may come or go with the last digit: nobody would call that a change."""
    return found.confidence > DEFAULTS.confidence + SAME_CONFIDENCE


def _said(of: InferenceResult | DetectedObject) -> str:
    return f"{of.label} ({of.confidence:.3f})"


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_TOLD} more" if len(words) > MOST_TOLD else ""
    return ", ".join(words[:MOST_TOLD]) + more


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
