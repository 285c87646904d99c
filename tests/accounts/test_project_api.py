"""Projects in the API."""

from accounts.models import User
from tests.factories import make_project


def test_own_projects_with_the_role(client_of, user: User) -> None:
    make_project(viewer=user)
    answer = client_of(user).get("/api/projects/").json()
    assert [(each["slug"], each["role"]) for each in answer["results"]] == [("birds", "viewer")]


def test_projects_of_others_do_not_exist(client_of, user: User) -> None:
    project = make_project()
    assert client_of(user).get(f"/api/projects/{project.slug}/").status_code == 404


def test_one_project(client_of, user: User) -> None:
    project = make_project(user)
    assert client_of(user).get(f"/api/projects/{project.slug}/").json()["name"] == "Birds"


def test_anonymous_is_told_how_to_come_in(client, db: None) -> None:
    answer = client.get("/api/projects/")
    assert answer.status_code == 401 and "Bearer" in answer.json()["remedy"]


def test_an_error_is_a_problem(client_of, user: User) -> None:
    answer = client_of(user).get("/api/projects/nowhere/")
    assert answer["Content-Type"] == "application/problem+json" and answer.json()["status"] == 404
