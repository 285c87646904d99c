"""The part of an image around an object or a prediction, to those who may see the image."""

from typing import Any

from csp.decorators import csp_replace
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from datasets import media
from datasets.models import Annotation
from datasets.views.media import SEALED, picture_response
from evaluation.galleries import window_of
from predictions.models import PredictedObject


@csp_replace(SEALED)
@require_safe
def truth_crop(request: HttpRequest, pk: int) -> HttpResponse:
    return _crop(request, Annotation, pk)


@csp_replace(SEALED)
@require_safe
def predicted_crop(request: HttpRequest, pk: int) -> HttpResponse:
    return _crop(request, PredictedObject, pk)


def _crop(request: HttpRequest, table: Any, pk: int) -> HttpResponse:
    """The window follows from the row, so that nobody can ask for more crops than there are objects."""
    rows = table.objects.filter(sample__dataset__project__memberships__user=request.user).exclude(sample__image="")
    row = get_object_or_404(rows.select_related("sample"), pk=pk)
    window = window_of(row, row.sample)
    if window is None:
        raise Http404
    return picture_response(request, row.sample, f"crop {window}", lambda: media.kept_crop(row.sample, window))
