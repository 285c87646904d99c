"""Pages of datasets as wholes: the list, a new one, settings, deletion."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Project, User
from datasets.models import Dataset, DatasetImport
from tests.factories import make_dataset, make_project, make_split, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user)


@pytest.fixture
def page(project: Project) -> str:
    return reverse("datasets:list", args=[project.slug])


def test_the_list_shows_counts(client_of, user: User, project: Project, page: str) -> None:
    make_dataset(project, name="rust", sample_count=12_345)
    assert "12,345" in client_of(user).get(page).content.decode()


def test_the_list_of_an_empty_project_says_what_to_do(client_of, user: User, page: str) -> None:
    assert "Import a dataset" in client_of(user).get(page).content.decode()


def test_the_list_searches(client_of, user: User, project: Project, page: str) -> None:
    make_dataset(project, name="rust"), make_dataset(project, name="paint")
    shown = client_of(user).get(page, {"search": "RUS"}).content.decode()
    assert "rust" in shown and "paint" not in shown


def test_the_list_filters_by_task(client_of, user: User, project: Project, page: str) -> None:
    make_dataset(project, name="rust"), make_dataset(project, name="gait", task_type="pose")
    shown = client_of(user).get(page, {"task_type": "pose"}).content.decode()
    assert "gait" in shown and "rust" not in shown


def test_a_search_without_a_find_leads_back(client_of, user: User, project: Project, page: str) -> None:
    make_dataset(project, name="rust")
    assert "No dataset fits" in client_of(user).get(page, {"search": "zzz"}).content.decode()


def test_htmx_gets_the_table_alone(client_of, user: User, project: Project, page: str) -> None:
    make_dataset(project, name="rust")
    answer = client_of(user).get(page, headers={"HX-Request": "true"})
    assert 'id="dataset-table"' in answer.content.decode() and "<html" not in answer.content.decode()
    assert "HX-Request" in answer["Vary"]


def test_a_history_restore_gets_the_whole_page(client_of, user: User, page: str) -> None:
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in client_of(user).get(page, headers=headers).content.decode()


def test_the_list_asks_no_more_for_more(
    client_of, user: User, project: Project, page: str, django_assert_max_num_queries
) -> None:
    for number in range(20):
        make_split(make_dataset(project, name=f"set-{number}"))
    client = client_of(user)
    with django_assert_max_num_queries(8):
        client.get(page)


def test_a_stranger_finds_no_list(client_of, page: str) -> None:
    assert client_of(make_user()).get(page).status_code == 404


NEW = {"name": "Rust 2026", "task_type": "detection", "description": ""}


def create(client: Client, project: Project, **data: str):
    return client.post(reverse("datasets:new", args=[project.slug]), {**NEW, **data})


def test_a_new_dataset_leads_to_its_import(client_of, user: User, project: Project) -> None:
    answer = create(client_of(user), project)
    dataset = Dataset.objects.get(slug="rust-2026")
    assert answer.url == reverse("datasets:import_new", args=[dataset.pk])


def test_the_same_name_gets_another_slug(client_of, user: User, project: Project) -> None:
    for _ in range(2):
        create(client_of(user), project)
    assert set(project.datasets.values_list("slug", flat=True)) == {"rust-2026", "rust-2026-2"}


def test_an_unknown_task_is_refused(client_of, user: User, project: Project) -> None:
    assert create(client_of(user), project, task_type="poetry").status_code == 422


def test_a_viewer_makes_no_dataset(client_of, project: Project) -> None:
    viewer = make_user()
    project.memberships.create(user=viewer, role="viewer")
    assert create(client_of(viewer), project).status_code == 403


def test_renaming_keeps_the_slug(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project, name="rust")
    client_of(user).post(reverse("datasets:settings", args=[dataset.pk]), {"name": "Corrosion", "description": "x"})
    dataset.refresh_from_db()
    assert (dataset.name, dataset.slug) == ("Corrosion", "rust")


def test_an_empty_name_is_refused(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project, name="rust")
    answer = client_of(user).post(reverse("datasets:settings", args=[dataset.pk]), {"name": ""})
    assert answer.status_code == 422 and "Settings of rust" in answer.content.decode()


def test_settings_name_what_deletion_takes_along(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project, prediction_count=475_200)
    assert "475,200 predictions" in client_of(user).get(reverse("datasets:settings", args=[dataset.pk])).content.decode()


def test_deleting(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project)
    answer = client_of(user).post(reverse("datasets:delete", args=[dataset.pk]))
    assert answer.url == reverse("datasets:list", args=[project.slug]) and not Dataset.objects.exists()


def test_deletion_is_no_link(client_of, user: User, project: Project) -> None:
    assert client_of(user).get(reverse("datasets:delete", args=[make_dataset(project).pk])).status_code == 405


def test_a_viewer_deletes_nothing(client_of) -> None:
    viewer = make_user()
    dataset = make_dataset(make_project(viewer=viewer))
    assert client_of(viewer).post(reverse("datasets:delete", args=[dataset.pk])).status_code == 403


def test_a_stranger_deletes_nothing(client_of, user: User) -> None:
    dataset = make_dataset()
    answer = client_of(user).post(reverse("datasets:delete", args=[dataset.pk]))
    assert answer.status_code == 404 and Dataset.objects.exists()


def test_deletion_waits_for_running_imports(client_of, user: User, project: Project) -> None:
    dataset = make_dataset(project)
    DatasetImport.objects.create(dataset=dataset, source_name="a.json", status="running")
    answer = client_of(user).post(reverse("datasets:delete", args=[dataset.pk]), follow=True)
    assert "is under way" in answer.content.decode() and Dataset.objects.exists()
