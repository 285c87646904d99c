"""Pages of training jobs."""

from django.http import HttpRequest, HttpResponse


def job(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse("soon")
