"""Images and thumbnails, to those who may see them."""

import hashlib
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from csp.decorators import csp_replace
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from datasets import media
from datasets.importers.image_files import ImageRefused
from datasets.models import Sample

BOX = re.compile(r"\d{1,6}(,\d{1,6}){3}")
AN_HOUR, A_YEAR = 3600, 365 * 24 * 3600
SEALED = {"default-src": ["'none'"], "sandbox": True}

PLACEHOLDER = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120" width="160" height="120">\
<rect width="160" height="120" fill="#8884"/><path d="M55 40l50 40M105 40l-50 40" stroke="#888" stroke-width="4"/></svg>"""


# Opened by itself, an image may do nothing at all.
@csp_replace(SEALED)
@require_safe
def image(request: HttpRequest, pk: int) -> HttpResponse:
    sample = _visible_sample(request, pk)
    return picture_response(request, sample, "full", lambda: media.display(sample))


@csp_replace(SEALED)
@require_safe
def thumb(request: HttpRequest, pk: int, size: int) -> HttpResponse:
    if size not in media.THUMB_SIZES:
        raise Http404
    sample = _visible_sample(request, pk)
    return picture_response(request, sample, str(size), lambda: media.thumb(sample, size))


@csp_replace(SEALED)
@require_safe
def crop(request: HttpRequest, pk: int) -> HttpResponse:
    """A box of the image, `?box=x,y,width,height` in whole pixels."""
    given = request.GET.get("box", "")
    if not BOX.fullmatch(given):
        raise Http404
    x, y, width, height = (int(side) for side in given.split(","))
    sample = _visible_sample(request, pk)
    return picture_response(request, sample, f"crop {given}", lambda: media.crop(sample, (x, y, width, height)))


def _visible_sample(request: HttpRequest, pk: int) -> Sample:
    samples: Any = Sample.objects.filter(dataset__project__memberships__user=request.user)
    return get_object_or_404(samples.exclude(image=""), pk=pk)


def picture_response(request: HttpRequest, sample: Sample, variant: str, make: Callable[[], media.Picture]) -> HttpResponse:
    """With a strong ETag, asked before any file is opened: a stored name never changes its content."""
    etag = f'"{hashlib.sha256(f"{sample.image} {sample.exif_applied} {variant}".encode()).hexdigest()[:32]}"'
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return _cached(HttpResponseNotModified(), etag, "v" in request.GET)
    try:
        picture = make()
    except ImageRefused as refused:
        response = HttpResponse(PLACEHOLDER, content_type="image/svg+xml")
        response["X-Image-Problem"] = refused.reason
        patch_cache_control(response, no_store=True)
        return response
    response = HttpResponse(picture.content, content_type=picture.content_type)
    name = PurePosixPath(sample.file_name.replace("\\", "/")).name[-100:]
    response["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(name)}"
    return _cached(response, etag, "v" in request.GET)


def _cached(response: HttpResponse, etag: str, versioned: bool) -> HttpResponse:
    response["ETag"] = etag
    if versioned:
        patch_cache_control(response, private=True, max_age=A_YEAR, immutable=True)
    else:
        # A replaced image keeps its address: the browser asks again after a while, and is answered without the file.
        patch_cache_control(response, private=True, max_age=AN_HOUR)
    return response
