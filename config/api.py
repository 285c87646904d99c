"""What every endpoint shares: pages by cursor, and the one shape of an error."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFilesSent
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions, pagination, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from datasets.importers.problems import ImportRefused
from datasets.requests import ImportConflict
from datasets.uploads import NoRoom, TooLarge, UploadRefused
from evaluation.alerts import TrialRefused
from evaluation.comparison import UnknownMetric
from evaluation.gates import RunRefused
from evaluation.reconciling import NotReconcilable
from evaluation.stored_matches import NoMatches
from evaluation.test_comparison import NotComparable
from evaluation.test_runs import TestConflict, TestRefused
from inference.checkpoints import CheckpointRefused, NoSuchCheckpoint
from inference.jobs import JobEnded
from inference.requests import RequestRefused, RequestTooLarge
from predictions.curation import SetConflict
from predictions.prediction_sets import SetRefused
from predictions.set_files import Problem, SetFileRefused
from predictions.training import JobConflict

REMEDIES = {
    status.HTTP_400_BAD_REQUEST: "Correct the fields named in errors and send the request again.",
    status.HTTP_401_UNAUTHORIZED: "Send the header 'Authorization: Bearer TOKEN', or log in.",
    status.HTTP_403_FORBIDDEN: "Ask an admin of the project for a role that may do this.",
    status.HTTP_404_NOT_FOUND: "Check the address: what it names does not exist, or you are not a member of its project.",
    status.HTTP_405_METHOD_NOT_ALLOWED: "The response header Allow lists the methods of this address.",
    status.HTTP_409_CONFLICT: "Look at the present state, then decide and send again.",
    status.HTTP_413_REQUEST_ENTITY_TOO_LARGE: "Send the file by a resumable upload (/uploads/), or name a server path.",
    status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "Send application/json, or multipart/form-data with a file.",
    status.HTTP_429_TOO_MANY_REQUESTS: "Wait for the seconds that the header Retry-After names.",
    status.HTTP_500_INTERNAL_SERVER_ERROR: "The server's log says more; please report it.",
}


# What operations refuse, and its status here; the first that fits counts.
REFUSALS: list[tuple[type[Exception], int]] = [
    (TooLarge, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE),
    (RequestDataTooBig, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE),
    (NoSuchCheckpoint, status.HTTP_404_NOT_FOUND),
    (CheckpointRefused, status.HTTP_400_BAD_REQUEST),
    (TooManyFilesSent, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE),
    (RequestTooLarge, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE),
    (JobEnded, status.HTTP_409_CONFLICT),
    (RequestRefused, status.HTTP_400_BAD_REQUEST),
    (NoRoom, status.HTTP_507_INSUFFICIENT_STORAGE),
    (UploadRefused, status.HTTP_409_CONFLICT),
    (ImportConflict, status.HTTP_409_CONFLICT),
    (ImportRefused, status.HTTP_400_BAD_REQUEST),
    (JobConflict, status.HTTP_409_CONFLICT),
    (SetConflict, status.HTTP_409_CONFLICT),
    (TestRefused, status.HTTP_400_BAD_REQUEST),
    (TestConflict, status.HTTP_409_CONFLICT),
    (NoMatches, status.HTTP_409_CONFLICT),
    (NotReconcilable, status.HTTP_409_CONFLICT),
    (NotComparable, status.HTTP_409_CONFLICT),
    (SetRefused, status.HTTP_400_BAD_REQUEST),
    (SetFileRefused, status.HTTP_400_BAD_REQUEST),
    (TrialRefused, status.HTTP_409_CONFLICT),
    (RunRefused, status.HTTP_400_BAD_REQUEST),
    (UnknownMetric, status.HTTP_400_BAD_REQUEST),
]


class Refused(exceptions.APIException):
    """An operation's refusal as the API tells it: what is wrong and where, and how to mend it."""

    default_detail = "That was refused."

    def __init__(self, refusal: Exception, status_code: int) -> None:
        where = getattr(refusal, "where", "")
        super().__init__(f"{refusal} ({where})" if where else str(refusal))
        self.status_code, self.remedy = status_code, getattr(refusal, "remedy", "")
        self.problems: list[Problem] = getattr(refusal, "problems", [])
        self.files: dict[str, str] = getattr(refusal, "files", {})


class CursorPagination(pagination.CursorPagination):
    """Keyset pages: stable while rows come and go, and as fast on the last page as on the first."""

    ordering = "pk"
    page_size_query_param = "page_size"
    max_page_size = 500


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Problem-shaped JSON (RFC 9457): type, title, status, detail, remedy, and errors of single fields."""
    refused_with = next((code for kind, code in REFUSALS if isinstance(error, kind)), None)
    if refused_with:
        error = Refused(error, refused_with)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, RecursionError):  # only what was sent nests without bounds here
        error = exceptions.ParseError("The body nests objects or lists too deeply.")
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(str(error) or None)
    response = exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    remedy = getattr(error, "remedy", None) or REMEDIES.get(response.status_code, "Read the API's documentation at /api/docs/.")
    errors = list(_field_errors(error.detail)) if isinstance(error, exceptions.ValidationError) else _row_errors(error)
    errors += [{"field": name, "reason": reason, "code": "invalid"} for name, reason in getattr(error, "files", {}).items()]
    response.data = {
        "type": "about:blank",
        "title": HTTPStatus(response.status_code).phrase,
        "status": response.status_code,
        "detail": "; ".join(item["reason"] for item in errors)
        if isinstance(error, exceptions.ValidationError)
        else str(error.detail),
        "remedy": remedy,
        "errors": errors,
    }
    response.content_type = "application/problem+json"
    return response


def _row_errors(error: Exception) -> list[dict[str, str]]:
    """What is wrong with the rows of a file, each with how to mend it."""
    return [
        {
            "field": ".".join(part for part in (f"row {problem.row}" if problem.row else "", problem.field) if part),
            "reason": f"{problem.reason} {problem.remedy}",
            "code": "refused",
        }
        for problem in getattr(error, "problems", [])
    ]


def problem_answer(error: exceptions.APIException) -> JsonResponse:
    """The same for what fails before or outside a view of the API."""
    problem = problem_response(error, {})
    assert problem is not None  # an API's exception always has an answer
    return JsonResponse(problem.data, status=problem.status_code, content_type=problem.content_type)


def is_of_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The 404 of addresses that lead to no view."""
    return problem_answer(exceptions.NotFound()) if is_of_api(request) else defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """The 500 of what nobody foresaw."""
    return problem_answer(exceptions.APIException()) if is_of_api(request) else defaults.server_error(request)


def _field_errors(detail: Any, field: str = "") -> list[dict[str, str]]:
    """The flat list of {field, reason, code}; nested fields are named with dots."""
    if isinstance(detail, dict):
        return [item for key, value in detail.items() for item in _field_errors(value, f"{field}.{key}".strip("."))]
    if isinstance(detail, list):
        return [item for value in detail for item in _field_errors(value, field)]
    return [{"field": field, "reason": str(detail), "code": getattr(detail, "code", "invalid")}]
