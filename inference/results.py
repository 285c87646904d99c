"""Reading results: selections, pictures, and as plain data for pages, API and downloads."""

from collections.abc import Iterator
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from datasets.models import Sample
from inference.drawing import annotated, skeleton_of
from inference.job_files import folder_of
from inference.models import InferenceJob, InferenceKind, InferenceResult, ResultState
from inference.suppression import shown
from predictions.models import PredictedObject
from predictions.overlays import colour_of


def selected(job: InferenceJob, *, label: str = "", confidence: float = 0.0, state: str = "") -> "QuerySet[InferenceResult]":
    """Results in their order: of a class, of a first choice at least that sure, in a state."""
    rows = InferenceResult.objects.filter(job=job).select_related("sample").order_by("position")
    if label:
        rows = rows.filter(_says(job, label))
    if confidence > 0:
        rows = rows.filter(confidence__gte=confidence)
    if state in ResultState.values:
        rows = rows.filter(state=state)
    return rows


def _says(job: InferenceJob, label: str) -> Q:
    """The first choice, or any of the objects."""
    return Q(label=label) | Q(objects_found__contains=[{"label": label}])


def labels(job: InferenceJob) -> list[tuple[str, int]]:
    """First choices and how many images have them, most first."""
    counts = InferenceResult.objects.filter(job=job).exclude(label="").order_by().values_list("label").annotate(n=Count("pk"))
    return sorted(counts, key=lambda each: (-each[1], each[0]))


def shown_objects(result: InferenceResult, confidence: float | None = None, iou: float | None = None) -> list[dict[str, Any]]:
    """The objects that are told: of a single image those that the asked confidence and overlap leave of its candidates."""
    asked = result.job.asked
    confidence = asked.confidence if confidence is None else confidence
    if result.job.kind == InferenceKind.DATASET:
        return [found for found in objects_in_run(result) if found["confidence"] >= confidence]
    if result.job.kind != InferenceKind.SINGLE and iou is None:
        return [found for found in result.objects_found if found["confidence"] >= confidence]
    return shown(result.objects_found, confidence, asked.iou if iou is None else iou)


def objects_in_run(result: InferenceResult) -> list[dict[str, Any]]:
    """Of a dataset's image: what stands in the run."""
    rows = PredictedObject.objects.filter(run=result.job.run_id, sample=result.sample_id).select_related("category")
    return [
        {"label": row.category.name, "label_id": row.category_id, "confidence": row.score}
        | {"bbox": [row.x, row.y, row.width, row.height], "segmentation": row.segmentation, "keypoints": row.keypoints}
        for row in rows.order_by("-score", "pk")
        if row.x is not None
    ]


def as_dict(result: InferenceResult) -> dict[str, Any]:
    """One result as the API tells it. Boxes are xywh in pixels of the upright image, times milliseconds."""
    return {
        "id": result.pk,
        "job_id": result.job_id,
        "position": result.position,
        "name": result.name,
        "sample_id": result.sample_id,
        "state": result.state,
        "error": result.error,
        "width": result.width,
        "height": result.height,
        "label": result.label,
        "label_id": result.label_id,
        "confidence": result.confidence,
        "top": [{"label": label, "confidence": confidence} for label, confidence in result.top],
        "objects": [_told(found) for found in ([] if result.job.kind == InferenceKind.DATASET else shown_objects(result))],
        "object_count": result.object_count,
        "preprocess_ms": result.preprocess_ms,
        "inference_ms": result.inference_ms,
        "postprocess_ms": result.postprocess_ms,
        "visualization": reverse("inference:picture", args=[result.pk]),
    }


def _told(found: dict[str, Any]) -> dict[str, Any]:
    names = ("label", "label_id", "confidence", "bbox")
    return {name: found[name] for name in names} | {name: found.get(name) for name in ("segmentation", "keypoints")}


def stored_image(result: InferenceResult) -> Sample:
    """The image as media.py shows them: a sample, which need not be one of a dataset."""
    return result.sample or Sample(image=result.image, image_format=result.image_format, file_name=result.name)


def heat_name(result: InferenceResult) -> str:
    """In the storage, with the job's images: where the classifier looked, once somebody has asked."""
    return f"{folder_of(result.job_id).name}/heat-{result.pk}.png"


def heat_reason_name(result: InferenceResult) -> str:
    """Beside it: why nobody can say where it looked."""
    return f"{folder_of(result.job_id).name}/heat-{result.pk}.txt"


def content(result: InferenceResult) -> bytes:
    """The stored file. Raises FileNotFoundError."""
    name = stored_image(result).image
    if not name:
        raise FileNotFoundError(result.name)
    with default_storage.open(name) as file:
        return bytes(file.read())


def picture(result: InferenceResult, confidence: float | None = None, iou: float | None = None) -> bytes:
    """The annotated picture, a JPEG. Raises FileNotFoundError and Unreadable."""
    objects = [with_skeleton(result.job, found) for found in shown_objects(result, confidence, iou)]
    return annotated(content(result), objects, result.top, upright=stored_image(result).exif_applied)


def with_skeleton(job: InferenceJob, found: dict[str, Any]) -> dict[str, Any]:
    if not (points := found.get("keypoints")):
        return found
    count = len(points) // 3
    return found | {"skeleton": job.skeletons.get((found["label"], count)) or skeleton_of(count)}


def with_colours(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for found in objects:
        yield found | {"colour": colour_of(found["label"])}
