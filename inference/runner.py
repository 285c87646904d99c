"""The work of a worker for models: take some chunks of a job, run them, store them with their completion. No Celery here."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings as configured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from datasets.importers.image_files import image_paths
from datasets.importers.problems import ImportRefused
from datasets.models import JobStatus
from datasets.runner import Heartbeat, JobCancelled
from datasets.sources import unpacked_or_itself
from inference import loading, storing
from inference.adapters.base import Adapter, AdapterError, InferenceSettings
from inference.claiming import (
    MAX_ATTEMPTS,
    Claim,
    ClaimHeartbeat,
    has_more,
    others_wait,
    positions_of,
    take,
    take_fresh,
    workers_lost,
)
from inference.decoding import decoded
from inference.drawing import heat_picture
from inference.engine import Answer, Pace, Picture, Plan, answers
from inference.loaded import LoadedCheckpoints
from inference.models import InferenceJob, InferenceKind, InferenceResult
from inference.requests import IMAGES_PER_CHUNK, NewImage, RequestRefused, add_images
from inference.results import heat_name, stored_image
from inference.tuning import Tunings, default_plan

log = logging.getLogger("touchstone.inference")

# Answers are stored so often: about what is done anew after a worker's death, and what a single image waits for.
SECONDS_PER_CLAIM = 2.0
# A run adds no further chunks after so long: what Grad-CAM and exports, which only knock at the queue, wait for.
SECONDS_PER_RUN = 6.0
MOST_CHUNKS = 64
# For the sliders of a single image: everything that a confidence or overlap of theirs could show.
CANDIDATES_FROM = 0.05
CANDIDATES_OVERLAP = 0.95
MOST_CANDIDATES = 300
LOST = f"The worker was lost {MAX_ATTEMPTS} times"
PACKAGES = ("torch", "torchvision", "timm", "ultralytics", "onnxruntime", "numpy", "pillow")

loaded = LoadedCheckpoints()


def run_some(job_id: int, ring: Callable[[int], object]) -> None:
    """Begin the job where it waits, and run some of it. `ring` calls for further workers where there is more to do."""
    job = InferenceJob.objects.select_related("checkpoint__job", "upload", "run", "dataset").filter(pk=job_id).first()
    if job is None or not (job.claim() or job.status == JobStatus.RUNNING):
        return
    try:
        if job.upload is not None and not job.image_count:
            _unpack(job)
        if workers_lost(job) >= MAX_ATTEMPTS:
            storing.fail(job, f"{LOST} before anything was done. Has its machine memory enough?")
            return
        claim = take(job, _chunks_at_once(float(job.report.get("facts", {}).get("rate", 0))))
        if claim is None:
            return
        if has_more(job):
            ring(job_id)
        if claim := _without_lost_causes(claim):
            _run(claim)
    except JobCancelled:
        log.info("%s was cancelled, or goes on elsewhere", job)
    except (AdapterError, ImportRefused, RequestRefused) as refusal:
        storing.fail(job, " ".join(part for part in (str(refusal), getattr(refusal, "remedy", "")) if part))
    except Exception as error:
        log.exception("%s failed", job)
        storing.fail(job, f"Touchstone itself failed here ({type(error).__name__}: {error}). The log of the worker says more.")


def _chunks_at_once(rate: float) -> int:
    """As many as take about two seconds, where the pace is known; else one."""
    return max(1, min(MOST_CHUNKS, round(rate * SECONDS_PER_CLAIM / IMAGES_PER_CHUNK)))


def _run(claim: Claim) -> None:
    """The claim's images, and those of further chunks while nobody else waits: between two runs the model would stand idle."""
    job = claim.job
    with ClaimHeartbeat(claim) as heartbeat:
        adapter = _loaded(job)
        pace = pace_of(adapter, job.checkpoint.sha256, job.image_count)
        asked: dict[int, InferenceResult] = {}
        found: list[Answer] = []
        stored_at = time.monotonic()
        pictures = _pictures(claim, pace, asked)
        with closing(answers(adapter, pictures, engine_settings(job), pace, configured.MAX_IMAGE_PIXELS)) as running:
            for answer in running:
                found.append(answer)
                heartbeat.progress(len(found), len(asked))
                if time.monotonic() - stored_at > SECONDS_PER_CLAIM:
                    found = _store_finished(claim, asked, found, facts(job, adapter, pace.plan))
                    stored_at = time.monotonic()
        _store_finished(claim, asked, found, facts(job, adapter, pace.plan))


def _pictures(claim: Claim, pace: Pace, asked: dict[int, InferenceResult]) -> Iterator[Picture]:
    """Those of the claim, to which chunks are added as long as the run may go on. `asked` gets their rows by position."""
    chunks, until = list(claim.chunks), time.monotonic() + SECONDS_PER_RUN
    while chunks:
        rows = list(claim.job.results.filter(position__in=positions_of(chunks)).select_related("sample").order_by("position"))
        asked.update((row.position, row) for row in rows)  # fewer than positions where images went meanwhile
        yield from map(_picture, rows)
        is_last = chunks[-1].last + 1 >= claim.job.image_count
        if is_last or claim.is_second_try or time.monotonic() > until or others_wait(claim.job):
            return
        chunks = take_fresh(claim.job, _chunks_at_once(pace.plan.rate))
        claim.chunks.extend(chunks)


def _store_finished(claim: Claim, asked: dict[int, InferenceResult], found: list[Answer], told: dict[str, Any]) -> list[Answer]:
    """Store the chunks of which all images are answered; they leave the claim. Returns the answers of the others."""
    open_positions = asked.keys() - {answer.position for answer in found}
    finished = Claim(claim.job, [chunk for chunk in claim.chunks if open_positions.isdisjoint(positions_of([chunk]))])
    if not finished.chunks:
        return found
    positions = set(finished.positions)
    samples = {position: row.sample_id for position in positions if (row := asked.pop(position, None)) and row.sample_id}
    storing.store(finished, [answer for answer in found if answer.position in positions], samples, told)
    for chunk in finished.chunks:
        claim.chunks.remove(chunk)
    return [answer for answer in found if answer.position not in positions]


def _without_lost_causes(claim: Claim) -> Claim | None:
    """What of it can still be tried; images that have cost too many workers are given up."""
    lost = [chunk for chunk in claim.chunks if chunk.attempts > MAX_ATTEMPTS]
    if not lost:
        return claim
    given_up = Claim(claim.job, lost)
    found = [
        Answer(position, error=f"{LOST} while it had this image and its neighbours at hand.") for position in given_up.positions
    ]
    storing.store(given_up, found, {}, claim.job.report.get("facts"))
    rest = [chunk for chunk in claim.chunks if chunk not in lost]
    return Claim(claim.job, rest) if rest else None


def pace_of(adapter: Adapter, digest: str, image_count: int) -> Pace:
    """How to run the checkpoint of that digest on so many images."""
    return Pace(default_plan(adapter)) if image_count == 1 else _tunings(Path(configured.DATA_DIR)).pace(adapter, digest)


@cache
def _tunings(data: Path) -> Tunings:
    return Tunings(data / "tunings", same_bits=configured.INFERENCE_DETERMINISTIC)


def engine_settings(job: InferenceJob) -> InferenceSettings:
    """What the adapter is asked for: of a single image the candidates, from which pages show what their sliders say."""
    asked = job.asked
    if job.kind != InferenceKind.SINGLE:
        return asked
    return InferenceSettings(
        confidence=min(asked.confidence, CANDIDATES_FROM), iou=max(asked.iou, CANDIDATES_OVERLAP), max_objects=MOST_CANDIDATES
    )


def _picture(row: InferenceResult) -> Picture:
    sample = row.sample
    name = sample.image if sample else row.image
    return Picture(row.position, partial(_content, name), upright=sample.exif_applied if sample else True)


def _content(name: str) -> bytes:
    if not name:
        raise FileNotFoundError
    with default_storage.open(name) as file:
        return bytes(file.read())


def _devices() -> Any:
    """Imports torch, which the web process, where jobs are only asked for, never does."""
    return import_module("inference.devices")


def device() -> str:
    return str(_devices().choose(configured.INFERENCE_DEVICE))


def _loaded(job: InferenceJob) -> Adapter:
    checkpoint = job.checkpoint
    chosen = device()
    return loaded.get((checkpoint.pk, checkpoint.sha256, chosen), lambda: loading.load(checkpoint, chosen))


def facts(job: InferenceJob, adapter: Adapter, plan: Plan) -> dict[str, Any]:
    """How the answers were made, so that they can be made again."""
    checkpoint = job.checkpoint
    return {
        "checkpoint": {
            "id": checkpoint.pk, "name": str(checkpoint), "sha256": checkpoint.sha256, "framework": checkpoint.framework,
            "architecture": checkpoint.architecture, "epoch": checkpoint.epoch, "step": checkpoint.step,
        },
        "task_type": adapter.task_type, "class_names": list(adapter.class_names), "preprocessing": adapter.preprocessing,
        "settings": vars(job.asked), "device": adapter.device, "device_name": _devices().describe(adapter.device),
        "dtype": getattr(adapter, "dtype", "float32"), "batch_size": plan.batch_size, "decoders": plan.decoders,
        "torch_threads": plan.torch_threads, "rate": plan.rate, "versions": versions(),
    }  # fmt: skip


@cache
def versions() -> dict[str, str]:
    found = {"touchstone": configured.VERSION}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _unpack(job: InferenceJob) -> None:
    """The archive's images as rows of the job, once. Raises ImportRefused."""
    with Heartbeat(job) as heartbeat, unpacked_or_itself(job.upload, "", job.name, heartbeat.progress) as root:
        if root.is_file():
            raise ImportRefused(
                "This is not a ZIP archive.", where=job.name, remedy="Pack the images into a ZIP, or send them."
            )
        images = [NewImage(str(path.relative_to(root)), path) for path in image_paths(root)]
        if not images:
            raise ImportRefused("The archive holds no images.", where=job.name, remedy="Pack JPEG, PNG, WebP or TIFF files.")
        with transaction.atomic():
            if not InferenceJob.objects.filter(pk=job.pk, status=JobStatus.RUNNING, attempts=job.attempts).exists():
                raise JobCancelled
            add_images(job, images)


def explain(result: InferenceResult) -> None:
    """Where a classifier looked, as a picture to lay over the image. Raises AdapterError, Unreadable and FileNotFoundError."""
    stored = stored_image(result)
    image = decoded(_content(stored.image), upright=stored.exif_applied, most_pixels=configured.MAX_IMAGE_PIXELS)
    heat = import_module("inference.gradcam").heat_map(_loaded(result.job), image)
    default_storage.save(heat_name(result), ContentFile(heat_picture(heat)))
