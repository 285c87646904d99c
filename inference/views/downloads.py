"""Results as files, streamed."""

from collections.abc import Callable, Iterator
from typing import Any

from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_safe

from inference import downloads, results
from inference.access import get_job
from inference.models import InferenceJob, InferenceKind, InferenceResult, ResultState
from inference.views.pictures import fraction

FORMS: dict[str, tuple[str, str, Callable[[Any, InferenceJob], Iterator[Any]]]] = {
    "csv": ("csv", "text/csv", lambda rows, job: downloads.as_csv(rows)),
    "json": ("json", "application/json", lambda rows, job: downloads.as_json(rows)),
    "coco": ("coco.json", "application/json", lambda rows, job: downloads.as_coco(rows, job.checkpoint.class_names)),
    "zip": ("zip", "application/zip", lambda rows, job: downloads.as_zip(rows)),
}


@require_safe
def download(request: HttpRequest, pk: int, form: str) -> StreamingHttpResponse:
    """What the page's filter selects. Of a dataset's job the run is what one takes."""
    job = get_job(request.user, pk)
    if form not in FORMS or job.kind == InferenceKind.DATASET:
        raise Http404
    ending, content_type, write = FORMS[form]
    rows = results.selected(job, label=request.GET.get("label", ""), confidence=fraction(request, "confidence") or 0)
    response = StreamingHttpResponse(
        write(_with_job(rows.exclude(state=ResultState.WAITING).iterator(500), job), job), content_type=content_type
    )
    response["Content-Disposition"] = f'attachment; filename="inference-{job.pk}.{ending}"'
    return response


def _with_job(rows: Iterator[InferenceResult], job: InferenceJob) -> Iterator[InferenceResult]:
    for row in rows:
        row.job = job
        yield row
