"""The project somebody looked at last, kept in a cookie so that it outlives the log-in. Only a hint: access is checked anew."""

from django.http import HttpRequest, HttpResponse

COOKIE = "project"
ONE_YEAR = 365 * 24 * 3600  # seconds


def remember_project(response: HttpResponse, slug: str) -> HttpResponse:
    response.set_cookie(COOKIE, slug, max_age=ONE_YEAR, httponly=True, samesite="Lax")
    return response


def remembered_slug(request: HttpRequest) -> str:
    return request.COOKIES.get(COOKIE, "")
