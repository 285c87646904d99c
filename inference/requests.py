"""Inference jobs as somebody asks for them: checked, with a row for each image and for each chunk. No Celery here."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings as configured
from django.core.files.storage import default_storage
from django.db import connection, transaction

from accounts.models import User
from datasets.importers.image_files import ImageRefused, inspect_image
from datasets.models import Dataset, Sample, Split, Upload
from datasets.uploads import clean_file_name
from inference.job_files import folder_of, remove_files_of
from inference.models import InferenceChunk, InferenceJob, InferenceKind, InferenceResult
from predictions.answers import storable
from predictions.models import Checkpoint, PredictionRun, RunOrigin

IMAGES_PER_CHUNK = 32
# Of one request; more come as an archive.
MOST_IMAGES = 2_000
MOST_SHOWN = 100  # class names in a message
LONGEST_NAME = 300  # of a class
RUN_NAME_LENGTH = 120
REMEDY = "Leave out what is named, and send the rest again."
REASONS = {
    "not_an_image": "This is not an image that can be read: JPEG, PNG, WebP, GIF, BMP or TIFF.",
    "image_too_large": "The image has too many pixels for this server",
}


class RequestRefused(Exception):
    """What cannot be run: why and how to mend it; where files are to blame, why by file name."""

    def __init__(self, message: str, remedy: str = "", files: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message, self.remedy, self.files = message, remedy, files or {}

    def in_words(self) -> str:
        told = "; ".join(f"{name}: {reason}" for name, reason in self.files.items())
        return " ".join(part for part in (self.message, told, self.remedy) if part)


class RequestTooLarge(RequestRefused):
    """More files, or more pixels, than this server takes at once."""


@dataclass(frozen=True, slots=True)
class NewImage:
    """A file that somebody sent, by the name they know it by, and where it lies now."""

    name: str
    path: Path
    image_format: str = ""


def checked_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Confidence and IoU in 0..1, at least one object. Raises RequestRefused."""
    found = {}
    for name in ("confidence", "iou"):
        if given.get(name) is not None:
            found[name] = float(given[name])
            if not 0 <= found[name] <= 1:
                raise RequestRefused(f"{name} is {given[name]}; it lies between 0 and 1.")
    if given.get("max_objects") is not None:
        found["max_objects"] = int(given["max_objects"])
        if not 1 <= found["max_objects"] <= 1_000:
            raise RequestRefused("max_objects lies between 1 and 1,000.")
    return found


def checked_mapping(checkpoint: Checkpoint, dataset: Dataset, given: Mapping[str, str]) -> dict[str, str]:
    """Classes of the checkpoint -> those of the dataset that their objects become. Raises RequestRefused for unknown ones."""
    if any(theirs != storable(theirs) or len(theirs) > LONGEST_NAME for theirs in given):
        raise RequestRefused(
            "A class has a name that cannot be stored.", f"Names have up to {LONGEST_NAME} characters, without NUL."
        )
    names = Counter(dataset.categories.values_list("name", flat=True))
    _refuse_unknown(f"{dataset} has", given.values(), names)
    if checkpoint.class_names:  # else known only once it has run
        _refuse_unknown(f"{checkpoint} has", given, checkpoint.class_names)
    if shared := [name for name in given.values() if names[name] > 1]:
        raise RequestRefused(f"Several classes of {dataset} are called {shared[0]}.", "Give each a name of its own.")
    return {theirs: ours for theirs, ours in given.items() if theirs != ours}


def _refuse_unknown(who_has: str, given: Iterable[str], known: Collection[str]) -> None:
    if unknown := [name for name in given if name not in known]:
        shown = ", ".join(sorted(known)[:MOST_SHOWN]) + (", …" if len(known) > MOST_SHOWN else "")
        raise RequestRefused(f"{who_has} no class {', '.join(unknown[:5])}.", f"There are: {shown or 'none yet'}.")


def inspected(images: Sequence[NewImage]) -> list[NewImage]:
    """With their formats by content; only headers are read. Raises RequestRefused, which names every file that is none."""
    if len(images) > MOST_IMAGES:
        raise RequestTooLarge(
            f"{len(images):,} images are more than one request may hold ({MOST_IMAGES:,}).",
            "Send them as one ZIP, or in parts.",
        )
    found, wrong, too_large = [], {}, False
    for image in images:
        try:
            info = inspect_image(image.path, configured.MAX_IMAGE_PIXELS)
        except ImageRefused as refused:
            detail = f" ({refused.detail})." if refused.reason == "image_too_large" else ""
            wrong[image.name] = REASONS.get(refused.reason, refused.detail) + detail
            too_large |= refused.reason == "image_too_large"
        else:
            found.append(NewImage(clean_file_name(image.name), image.path, info.image_format))
    if wrong:
        count = "A file" if len(wrong) == 1 else f"{len(wrong)} of {len(images)} files"
        raise (RequestTooLarge if too_large else RequestRefused)(f"{count} cannot be taken.", REMEDY, wrong)
    return found


def make_image_job(
    user: User | None, checkpoint: Checkpoint, images: Sequence[NewImage], settings: dict[str, Any], *, single: bool = False
) -> InferenceJob:
    """A job of images that were sent; they are stored before the row is seen by anybody. Raises RequestRefused."""
    check_runnable(checkpoint)
    if not images:
        raise RequestRefused("There is no image in the request.", "Send at least one file as 'image' or 'images'.")
    images = inspected(images)
    kind = InferenceKind.SINGLE if single else InferenceKind.BATCH
    with transaction.atomic():
        job = _new_job(user, checkpoint, kind, settings, name=images[0].name if single else f"{len(images)} images")
        add_images(job, images)
    return job


def make_archive_job(user: User | None, checkpoint: Checkpoint, upload: Upload, settings: dict[str, Any]) -> InferenceJob:
    """A job of the images in a ZIP, which the work unpacks. Raises RequestRefused."""
    check_runnable(checkpoint)
    if not upload.is_complete:
        raise RequestRefused(f"The upload of {upload.file_name} is not complete yet.", "Let it finish, or resume it.")
    return _new_job(user, checkpoint, InferenceKind.BATCH, settings, name=upload.file_name, upload=upload)


def make_sample_job(
    user: User | None, checkpoint: Checkpoint, samples: Sequence[Sample], settings: dict[str, Any]
) -> InferenceJob:
    """A job of images that datasets hold already, in the order given. Raises RequestRefused."""
    check_runnable(checkpoint)
    if not samples:
        raise RequestRefused("No sample is named.", "Name at least one.")
    rows = [InferenceResult(position=n, name=each.file_name[:500], sample=each) for n, each in enumerate(samples)]
    with transaction.atomic():
        job = _new_job(user, checkpoint, InferenceKind.BATCH, settings, name=f"{len(rows)} samples")
        _add_rows(job, rows)
    return job


@transaction.atomic
def make_dataset_job(
    user: User | None, checkpoint: Checkpoint, dataset: Dataset, split: Split, settings: dict[str, Any], *, name: str = ""
) -> InferenceJob:
    """A job over a split, with the run that it fills, which nobody sees before it is complete. Raises RequestRefused."""
    check_runnable(checkpoint)
    if checkpoint.project_id != dataset.project_id:
        raise RequestRefused("The checkpoint and the dataset belong to different projects.", "Register it in the dataset's.")
    if not split.sample_count:
        raise RequestRefused(f"The split {split.name} holds no images.", "Import its images first.")
    if mapping := checked_mapping(checkpoint, dataset, settings.get("class_mapping") or {}):
        settings = settings | {"class_mapping": mapping}
    name = name.strip()[:RUN_NAME_LENGTH] or str(checkpoint)[:RUN_NAME_LENGTH]
    run = PredictionRun.objects.create(
        project=dataset.project, dataset=dataset, split=split, name=name, origin=RunOrigin.INFERENCE, created_by=user,
        checkpoint=str(checkpoint)[:1000], epoch=checkpoint.epoch, step=checkpoint.step,
    )  # fmt: skip
    job = _new_job(user, checkpoint, InferenceKind.DATASET, settings, name=name, dataset=dataset, split=split, run=run)
    with connection.cursor() as cursor:
        cursor.execute(ROWS_OF_A_SPLIT, [job.pk, split.pk])
        _add_chunks(job, cursor.rowcount)
    return job


ROWS_OF_A_SPLIT = """
INSERT INTO inference_inferenceresult
    (job_id, position, name, image, image_format, sample_id, state, error, label, top, objects_found, object_count)
SELECT %s, row_number() OVER (ORDER BY id) - 1, left(file_name, 500), '', '', id, 'waiting', '', '', '[]', '[]', 0
FROM datasets_sample WHERE split_id = %s
"""


def check_runnable(checkpoint: Checkpoint) -> None:
    if not (checkpoint.sha256 and checkpoint.framework):
        raise RequestRefused(
            f"The weights of {checkpoint} are not on this server.",
            "Register the checkpoint from a folder of the server, or upload it.",
        )


def _new_job(
    user: User | None, checkpoint: Checkpoint, kind: InferenceKind, settings: dict[str, Any], **fields: Any
) -> InferenceJob:
    fields["name"] = fields["name"][:200]
    return InferenceJob.objects.create(
        project=checkpoint.project, checkpoint=checkpoint, kind=kind, settings=settings, created_by=user, **fields
    )


def add_images(job: InferenceJob, images: Iterable[NewImage]) -> None:
    """Store the files and make their rows; what was stored goes where a row fails."""
    folder = folder_of(job.pk)
    try:
        rows = [
            InferenceResult(position=n, name=each.name[:500], image=folder.put(each.path), image_format=each.image_format)
            for n, each in enumerate(images)
        ]
        _add_rows(job, rows)
    except BaseException:
        folder.remove()
        raise


def _add_rows(job: InferenceJob, rows: Sequence[InferenceResult]) -> None:
    for row in rows:
        row.job = job
    InferenceResult.objects.bulk_create(rows, batch_size=2_000)
    _add_chunks(job, len(rows))


def _add_chunks(job: InferenceJob, count: int) -> None:
    InferenceChunk.objects.bulk_create(
        InferenceChunk(job=job, first=first, last=min(first + IMAGES_PER_CHUNK, count) - 1)
        for first in range(0, count, IMAGES_PER_CHUNK)
    )
    InferenceJob.objects.filter(pk=job.pk).update(image_count=count, progress_total=count)
    job.image_count = job.progress_total = count


def copy_of(job: InferenceJob, user: User | None, checkpoint: Checkpoint) -> InferenceJob:
    """The same question once more, of this or another checkpoint. Raises RequestRefused."""
    check_runnable(checkpoint)
    if job.kind == InferenceKind.DATASET:
        if job.dataset is None or job.split is None:
            raise RequestRefused("The split of this job is gone.", "Choose another one.")
        name = job.name if checkpoint == job.checkpoint else ""
        return make_dataset_job(user, checkpoint, job.dataset, job.split, job.settings, name=name)
    if job.upload is not None and not job.image_count:
        return make_archive_job(user, checkpoint, job.upload, job.settings)
    with transaction.atomic():
        copy = _new_job(user, checkpoint, InferenceKind(job.kind), job.settings, name=job.name)
        try:
            _add_rows(copy, [_copied(row, copy) for row in job.results.order_by("position")])
        except BaseException:
            remove_files_of(copy.pk)
            raise
    return copy


def _copied(row: InferenceResult, copy: InferenceJob) -> InferenceResult:
    """The question alone. Files are copied: each job's go with it."""
    image = ""
    if row.image:
        with default_storage.open(row.image) as file:
            image = default_storage.save(f"{folder_of(copy.pk).name}/{row.position:07}{Path(row.image).suffix}", file)
    return InferenceResult(
        position=row.position, name=row.name, image=image, image_format=row.image_format, sample_id=row.sample_id
    )
