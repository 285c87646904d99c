"""Images of jobs, their thumbnails, and what the model said drawn on them; to those who may see them."""

from csp.decorators import csp_replace
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from datasets import media
from datasets.models import Sample
from datasets.views.media import SEALED, picture_response
from datasets.workers import is_served
from inference import results, tasks
from inference.access import get_result
from inference.decoding import Unreadable

NO_WORKER = "No worker for models is running; it is told once one comes."


@csp_replace(SEALED)
@require_safe
def image(request: HttpRequest, pk: int) -> HttpResponse:
    stored = _stored(request, pk)
    return picture_response(request, stored, "full", lambda: media.display(stored))


@csp_replace(SEALED)
@require_safe
def thumb(request: HttpRequest, pk: int, size: int) -> HttpResponse:
    if size not in media.THUMB_SIZES:
        raise Http404
    stored = _stored(request, pk)
    return picture_response(request, stored, str(size), lambda: media.thumb(stored, size))


def _stored(request: HttpRequest, pk: int) -> Sample:
    stored = results.stored_image(get_result(request.user, pk))
    if not stored.image:
        raise Http404
    return stored


@csp_replace(SEALED)
@require_safe
def picture(request: HttpRequest, pk: int) -> HttpResponse:
    """The annotated picture; `confidence` and `iou` as a page's sliders stand, else as they were asked for."""
    result = get_result(request.user, pk)
    try:
        content = results.picture(result, fraction(request, "confidence"), fraction(request, "iou"))
    except (FileNotFoundError, Unreadable):
        raise Http404 from None
    response = HttpResponse(content, content_type="image/jpeg")
    kind = "attachment" if "download" in request.GET else "inline"
    response["Content-Disposition"] = f'{kind}; filename="annotated-{result.pk}.jpg"'
    patch_cache_control(response, private=True, max_age=60)
    return response


def fraction(request: HttpRequest, name: str) -> float | None:
    """A number of the address between 0 and 1; None for what is none."""
    try:
        value = float(request.GET.get(name, ""))
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


@csp_replace(SEALED)
@require_safe
def heat(request: HttpRequest, pk: int) -> HttpResponse:
    """Where a classifier looked, to be laid over the image. 202 while a worker finds out, or none is there; 409 with the reason
    where it cannot be told. `ask=no` only looks.
    """
    result = get_result(request.user, pk)
    if not result.top:
        raise Http404
    if (found := _kept(results.heat_name(result))) is not None:
        return HttpResponse(found, content_type="image/png")
    if request.GET.get("ask") != "no":
        default_storage.delete(results.heat_reason_name(result))
        tasks.explain_result.apply_async([result.pk], priority=tasks.SOON)
    elif (reason := _kept(results.heat_reason_name(result))) is not None:
        return HttpResponse(reason, content_type="text/plain; charset=utf-8", status=409)
    return HttpResponse("" if is_served("gpu") else NO_WORKER, content_type="text/plain; charset=utf-8", status=202)


def _kept(name: str) -> bytes | None:
    try:
        with default_storage.open(name) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None
