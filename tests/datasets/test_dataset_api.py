"""Datasets in the API."""

import pytest
from django.test import Client

from accounts.models import Project, User
from datasets.models import Dataset, DatasetImport
from tests.factories import make_dataset, make_project, make_split, make_user

URL = "/api/datasets/"


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user)


def create(client: Client, **data: object):
    return client.post(
        URL, {"project": "birds", "name": "Rust 2026", "task_type": "detection", **data}, content_type="application/json"
    )


def names(client: Client, **query: str) -> list[str]:
    return [each["name"] for each in client.get(URL, query).json()["results"]]


def test_creating(client_of, user: User, project: Project) -> None:
    answer = create(client_of(user))
    assert answer.status_code == 201 and answer.json()["slug"] == "rust-2026"


def test_counters_are_read_only(client_of, user: User, project: Project) -> None:
    create(client_of(user), sample_count=99, slug="mine")
    dataset = Dataset.objects.get()
    assert (dataset.sample_count, dataset.slug) == (0, "rust-2026")


def test_a_project_of_others_does_not_exist(client_of, user: User) -> None:
    make_project()
    answer = create(client_of(user))
    assert answer.status_code == 400 and answer.json()["errors"][0]["field"] == "project"


def test_a_viewer_creates_nothing(client_of, user: User) -> None:
    make_project(viewer=user)
    assert create(client_of(user)).status_code == 403


def test_an_unknown_task_type_is_named(client_of, user: User, project: Project) -> None:
    assert create(client_of(user), task_type="poetry").json()["errors"][0]["field"] == "task_type"


def test_one_dataset_with_its_splits(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project)
    make_split(dataset, "train")
    assert client_of(user).get(f"{URL}{dataset.pk}/").json()["splits"][0]["name"] == "train"


def test_datasets_of_others_do_not_exist(client_of, user: User) -> None:
    dataset = make_dataset()
    assert client_of(user).get(f"{URL}{dataset.pk}/").status_code == 404


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_strangers_change_nothing(client_of, user: User, method: str) -> None:
    dataset = make_dataset()
    assert getattr(client_of(user), method)(f"{URL}{dataset.pk}/").status_code == 404


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_viewers_change_nothing(client_of, user: User, method: str) -> None:
    dataset = make_dataset(make_project(viewer=user))
    assert getattr(client_of(user), method)(f"{URL}{dataset.pk}/").status_code == 403


def patch(client: Client, dataset: Dataset, **data: object):
    return client.patch(f"{URL}{dataset.pk}/", data, content_type="application/json")


def test_renaming(client_of, user: User, project: Project) -> None:
    assert patch(client_of(user), make_dataset(project), name="Corrosion").json()["name"] == "Corrosion"


def test_the_task_type_stays(client_of, user: User, project: Project) -> None:
    answer = patch(client_of(user), make_dataset(project), task_type="pose")
    assert answer.status_code == 400 and answer.json()["errors"][0]["field"] == "task_type"


def test_a_dataset_does_not_move(client_of, user: User, project: Project) -> None:
    other = make_project(user, name="Elsewhere")
    assert patch(client_of(user), make_dataset(project), project=other.slug).status_code == 400


def test_deleting(client_of, user: User, project: Project) -> None:
    assert client_of(user).delete(f"{URL}{make_dataset(project).pk}/").status_code == 204
    assert not Dataset.objects.exists()


def test_a_dataset_at_work_is_not_deleted(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project)
    DatasetImport.objects.create(dataset=dataset, source_name="a.json", status="running")
    assert client_of(user).delete(f"{URL}{dataset.pk}/").status_code == 409


def test_filters(client_of, user: User, project: Project) -> None:
    make_dataset(project, name="rust")
    make_dataset(make_project(user, name="Gait"), name="walk", task_type="pose")
    client = client_of(user)
    assert names(client, project="birds") == names(client, task_type="detection") == names(client, search="RU") == ["rust"]


def test_pages_by_cursor(client_of, user: User, project: Project) -> None:
    for name in ("a", "b", "c"):
        make_dataset(project, name=name)
    first = client_of(user).get(URL, {"page_size": 2}).json()
    second = client_of(user).get(first["next"]).json()
    assert [each["name"] for each in first["results"] + second["results"]] == ["a", "b", "c"]


def test_the_list_asks_no_more_for_more(client_of, user: User, project: Project, django_assert_max_num_queries) -> None:
    for number in range(20):
        make_split(make_dataset(project, name=f"set-{number}"))
    client = client_of(user)
    with django_assert_max_num_queries(4):
        client.get(URL)


def test_anonymous_is_told_how_to_come_in(client: Client, db: None) -> None:
    assert client.get(URL).status_code == 401


def test_no_method_but_ours(client_of, user: User, project: Project) -> None:
    assert client_of(user).put(f"{URL}{make_dataset(project).pk}/").status_code == 405


def test_others_members_do_not_double_a_dataset(client_of, user: User, project: Project) -> None:
    project.memberships.create(user=make_user(), role="viewer")
    make_dataset(project, name="rust")
    assert names(client_of(user)) == ["rust"]
