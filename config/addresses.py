"""Addresses that no row can match."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ValidationError

from config.api import is_of_api, problem_answer

REASON = "The address holds the character NUL (%00). Leave it out."


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware. PostgreSQL refuses to compare texts with NUL; bodies are checked where they are read, addresses here."""

    def answer(request: HttpRequest) -> HttpResponse:
        where = _place_of_nul(request)
        if where is None:
            return get_response(request)
        if not is_of_api(request):
            raise BadRequest(REASON)
        return problem_answer(ValidationError({where: REASON}))

    return answer


def _place_of_nul(request: HttpRequest) -> str | None:
    """The parameter that holds the character, `path` where the path does; None where nothing does."""
    if "\0" in request.path:
        return "path"
    for name, values in request.GET.lists():
        if "\0" in name or any("\0" in value for value in values):
            return name.replace("\0", "")
    return None
