"""Addresses that no row can match."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware. PostgreSQL refuses to compare texts with NUL; bodies are checked where they are read, addresses here."""

    def answer(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or any("\0" in value for values in request.GET.lists() for value in (values[0], *values[1])):
            raise BadRequest("The address holds the character NUL (%00). Leave it out.")
        return get_response(request)

    return answer
