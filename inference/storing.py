"""Answers of the engine as rows: a group of chunks at a time, in one transaction with their completion."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Count

from datasets.bulk import copy_statement, locked_keys, without_row_triggers
from datasets.models import Category, Dataset, JobStatus, Sample
from datasets.runner import JobCancelled
from inference.adapters.base import DetectedObject, InferenceResult
from inference.claiming import Claim
from inference.engine import Answer
from inference.models import ChunkStatus, InferenceChunk, InferenceJob, InferenceKind, ResultState
from inference.suppression import shown
from predictions.coco_results import ResultRow
from predictions.copying import FIELDS, HEADER, TRAILER, pack_row
from predictions.models import PredictedLabel, PredictedObject, PredictionRun, RunStatus
from predictions.runs import refresh_prediction_count, remove_run

LONGEST_ERROR = 500
LONGEST_LABEL = 300
LACKING = "lacking"  # in a job's report: objects of classes that the dataset lacks, by name
UPDATE = """
UPDATE inference_inferenceresult AS row SET
    state = new.state, error = new.error, width = new.width, height = new.height, label = new.label, label_id = new.label_id,
    confidence = new.confidence, top = new.top, objects_found = new.objects_found, object_count = new.object_count,
    preprocess_ms = new.preprocess_ms, inference_ms = new.inference_ms, postprocess_ms = new.postprocess_ms
FROM jsonb_to_recordset(%s::jsonb) AS new (
    position int, state text, error text, width int, height int, label text, label_id int, confidence float8, top jsonb,
    objects_found jsonb, object_count int, preprocess_ms float8, inference_ms float8, postprocess_ms float8
)
WHERE row.job_id = %s AND row.position = new.position
"""


@transaction.atomic
def store(claim: Claim, answers: Sequence[Answer], samples: dict[int, int], facts: dict[str, Any] | None) -> bool:
    """Write the answers and complete the chunks; with the last of them, the job. Returns whether the job is completed.

    `samples` maps positions to samples. `facts` are what a run of a dataset keeps of how it was made. Raises JobCancelled where
    the job was cancelled, or the chunks were taken by another worker: then nothing is written.
    """
    job = _locked_job(claim)
    _complete_chunks(claim)
    _write_results(job, answers)
    if job.kind == InferenceKind.DATASET:
        _write_predictions(job, answers, samples)
    failed = sum(answer.result is None for answer in answers)
    job.done_count += len(answers) - failed
    job.failed_count += failed
    job.progress_done = job.done_count + job.failed_count
    if facts:
        job.report = job.report | {"facts": facts, "devices": sorted({*job.report.get("devices", []), facts["device_name"]})}
        job.device, job.batch_size = facts["device_name"][:80], facts["batch_size"]
    job.save(update_fields=["done_count", "failed_count", "progress_done", "report", "device", "batch_size"])
    if job.chunks.exclude(status=ChunkStatus.COMPLETED).exists():
        return False
    complete(job)
    return True


def _locked_job(claim: Claim) -> InferenceJob:
    job: InferenceJob | None = (
        InferenceJob.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk=claim.job.pk, status=JobStatus.RUNNING, attempts=claim.job.attempts)
        .select_related("run", "dataset", "checkpoint")
        .first()
    )
    if job is None:
        raise JobCancelled
    return job


def _complete_chunks(claim: Claim) -> None:
    for chunk in claim.chunks:
        mine = InferenceChunk.objects.filter(pk=chunk.pk, status=ChunkStatus.RUNNING, attempts=chunk.attempts)
        if not mine.update(status=ChunkStatus.COMPLETED, done_count=0):
            raise JobCancelled


# --- Results of images -----------------------------------------------------------------------------------------------
def _write_results(job: InferenceJob, answers: Sequence[Answer]) -> None:
    rows = [result_row(job, answer) for answer in answers]
    with connection.cursor() as cursor:
        cursor.execute(UPDATE, [json.dumps(rows).replace("\\u0000", ""), job.pk])


def result_row(job: InferenceJob, answer: Answer) -> dict[str, Any]:
    result = answer.result
    if result is None:
        empty = {"label": "", "top": [], "objects_found": [], "object_count": 0}
        return empty | {"position": answer.position, "state": ResultState.FAILED, "error": answer.error[:LONGEST_ERROR]}
    objects = [_object(each) for each in result.objects]
    label: str = result.label
    label_id, confidence, count = result.label_id, result.confidence, len(objects)
    if job.kind == InferenceKind.SINGLE and objects:
        # What is stored are the candidates of the sliders; what is told is what was asked for.
        told = shown(objects, job.asked.confidence, job.asked.iou)
        best: dict[str, Any] = told[0] if told else {"label": "", "label_id": None, "confidence": None}
        label, label_id, confidence, count = best["label"], best["label_id"], best["confidence"], len(told)
    return {
        "position": answer.position, "state": ResultState.DONE, "error": "", "width": result.width, "height": result.height,
        "label": label[:LONGEST_LABEL], "label_id": label_id, "confidence": confidence,
        "top": [[name, value] for name, _, value in result.top],
        "objects_found": [] if job.kind == InferenceKind.DATASET else objects,
        "object_count": count, "preprocess_ms": result.preprocess_ms,
        "inference_ms": result.inference_ms, "postprocess_ms": result.postprocess_ms,
    }  # fmt: skip


def _object(found: DetectedObject) -> dict[str, Any]:
    row: dict[str, Any] = {
        "label": found.label,
        "label_id": found.label_id,
        "confidence": round(found.confidence, 6),
        "bbox": [round(side, 3) for side in found.box],
    }
    if found.mask is not None:
        row["segmentation"] = found.mask
    if found.keypoints is not None:
        row["keypoints"] = [round(value, 3) for value in found.keypoints]
    return row


# --- A dataset's run ---------------------------------------------------------------------------------------------------
def _write_predictions(job: InferenceJob, answers: Sequence[Answer], samples: dict[int, int]) -> None:
    """Objects and labels of the run; classes that the dataset lacks are counted by name, never guessed."""
    if job.run is None:
        raise JobCancelled  # the run was deleted under the job
    categories = known_categories(job)
    # Nobody deletes these samples before the commit; those that went already take no predictions.
    kept = {row[0] for row in locked_keys(Sample.objects.filter(pk__in=list(samples.values())), "pk")}
    lacking: Counter[str] = Counter(job.report.get(LACKING, {}))
    rows, labels = [], []
    for answer in answers:
        sample = samples.get(answer.position)
        if answer.result is None or sample is None or sample not in kept:
            continue
        for name, row in _predicted(answer.result, sample):
            if category := categories.get(name):
                rows.append(pack_row(job.run.pk, ResultRow(sample, category, **row)))
            else:
                lacking[name] += 1
        if answer.result.probabilities:
            labels.append(PredictedLabel(run=job.run, sample_id=sample, probabilities=list(answer.result.probabilities)))
    _copy(rows)
    PredictedLabel.objects.bulk_create(labels)
    job.report = job.report | {LACKING: dict(lacking)}


def known_categories(job: InferenceJob) -> dict[str, int]:
    """The dataset's categories by the names that the checkpoint has for them, locked until the transaction ends.

    A name that two of them share means neither.
    """
    found: dict[str, int] = {}
    shared = set()
    for key, name in locked_keys(Category.objects.filter(dataset=job.dataset_id), "pk", "name"):
        shared |= {name} & found.keys()
        found[str(name)] = int(str(key))
    own = {name: key for name, key in found.items() if name not in shared}
    mapping: dict[str, str] = job.settings.get("class_mapping", {})
    return own | {theirs: own[ours] for theirs, ours in mapping.items() if ours in own}


def _predicted(result: InferenceResult, sample: int) -> list[tuple[str, dict[str, Any]]]:
    """Class name and fields of each predicted object; a classifier's first choice is one without a box."""
    if not result.objects and result.probabilities:
        return [(result.label, {"score": result.confidence, "box": None})]
    return [
        (
            found.label,
            {"score": found.confidence, "box": found.box, "segmentation": found.mask, "keypoints": found.keypoints},
        )
        for found in result.objects
    ]


def _copy(rows: list[bytes]) -> None:
    statement = copy_statement(PredictedObject, FIELDS)
    with without_row_triggers(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(HEADER + b"".join(rows) + TRAILER)


# --- The end -----------------------------------------------------------------------------------------------------------
def complete(job: InferenceJob) -> None:
    """The job has answered for every image. Where not one could be answered, it has failed, in words."""
    if job.failed_count and not job.done_count:
        first = job.results.exclude(error="").values_list("error", flat=True).first()
        fail(job, f"None of its {job.failed_count:,} images could be run. {first}")
        return
    if job.kind == InferenceKind.DATASET:
        if job.run is None:
            raise JobCancelled
        _complete_run(job, job.run)
    if not job.finish(JobStatus.COMPLETED):
        raise JobCancelled


def fail(job: InferenceJob, error: str) -> None:
    """End it in words; what it had predicted on a dataset goes."""
    with transaction.atomic():
        if job.finish(JobStatus.FAILED, error=error):
            drop_partial_run(job)


def drop_partial_run(job: InferenceJob) -> None:
    run = PredictionRun.objects.filter(pk=job.run_id, status=RunStatus.RUNNING).first()
    if run is not None:
        remove_run(run)


def _complete_run(job: InferenceJob, run: PredictionRun) -> None:
    """Counted once, and seen from now on. A name that is taken gets a number: nothing is replaced unasked."""
    Dataset.objects.select_for_update(no_key=True).get(pk=run.dataset_id)
    counts = PredictedObject.objects.filter(run=run).order_by().values_list("category").annotate(n=Count("pk"))
    run.category_counts = {str(category): n for category, n in counts}
    run.prediction_count = sum(run.category_counts.values())
    lacking = sum(job.report.get(LACKING, {}).values())
    run.skipped = {"unknown_category": lacking} if lacking else {}
    run.skipped_count = lacking
    run.generation_params = job.report.get("facts", {}) | {
        "devices": job.report.get("devices", []),
        "inference_job": job.pk,
        "class_mapping": job.settings.get("class_mapping", {}),
    }
    run.name = free_name(run)
    run.status = RunStatus.COMPLETED
    run.save()
    if run.dataset:
        refresh_prediction_count(run.dataset)


def free_name(run: PredictionRun) -> str:
    taken = set(PredictionRun.objects.completed().filter(dataset=run.dataset_id).values_list("name", flat=True))
    name, number = run.name, 2
    while name in taken:
        name = f"{run.name[:110]} ({number})"
        number += 1
    return name
