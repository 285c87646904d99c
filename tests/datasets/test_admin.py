"""Datasets, samples and imports in the admin."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from datasets.large_tables import REACH
from datasets.models import Annotation, Dataset, DatasetImport, JobStatus, Sample, Upload
from tests.factories import make_annotation, make_category, make_dataset, make_sample, make_user

LISTS = ["dataset", "split", "category", "sample", "annotation", "datasetimport", "upload"]


@pytest.fixture
def admin_client(db: None, client_of: Any) -> Client:
    client: Client = client_of(make_user("root", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def dataset(db: None) -> Dataset:
    dataset = make_dataset(name="birds", sample_count=2, annotation_count=2)
    category = make_category(dataset)
    for number in range(2):
        sample = make_sample(dataset, external_id=f"id {number}", file_name=f"bird-{number}.jpg")
        make_annotation(sample, category, segmentation=[[1, 1, 5, 1, 5, 5]])
    DatasetImport.objects.create(dataset=dataset, source_name="birds.json", status=JobStatus.COMPLETED)
    Upload.objects.create(project=dataset.project, owner=make_user(), file_name="birds.zip", size=10)
    return dataset


def add_samples(dataset: Dataset, count: int) -> None:
    split = dataset.splits.get()
    numbers = range(count)
    samples = [Sample(dataset=dataset, split=split, external_id=f"n{n}", file_name=f"{n}.jpg") for n in numbers]
    Sample.objects.bulk_create(samples)
    category = dataset.categories.get()
    Annotation.objects.bulk_create([Annotation(sample=sample, category=category) for sample in samples])


@pytest.mark.parametrize("table", LISTS)
def test_every_list_opens(admin_client: Client, dataset: Dataset, table: str) -> None:
    assert admin_client.get(reverse(f"admin:datasets_{table}_changelist")).status_code == 200


@pytest.mark.parametrize("table", LISTS)
def test_every_list_can_be_searched(admin_client: Client, dataset: Dataset, table: str) -> None:
    assert admin_client.get(reverse(f"admin:datasets_{table}_changelist"), {"q": "bird"}).status_code == 200


@pytest.mark.parametrize("row", [Sample, Annotation, DatasetImport, Upload])
def test_every_row_opens(admin_client: Client, dataset: Dataset, row: Any) -> None:
    url = reverse(f"admin:datasets_{row._meta.model_name}_change", args=[row.objects.first().pk])
    assert admin_client.get(url).status_code == 200


@pytest.mark.parametrize("table", ["sample", "annotation"])
def test_a_list_takes_as_many_queries_for_many_rows(admin_client: Client, dataset: Dataset, table: str) -> None:
    url = reverse(f"admin:datasets_{table}_changelist")
    with CaptureQueriesContext(connection) as few:
        admin_client.get(url)
    add_samples(dataset, 300)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(url)
    assert len(many) == len(few) <= 7


def test_a_large_table_is_never_counted_whole(admin_client: Client, dataset: Dataset) -> None:
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(reverse("admin:datasets_sample_changelist"))
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts and all(f"LIMIT {REACH}" in sql for sql in counts)


def test_a_sample_is_found_by_its_whole_file_name(admin_client: Client, dataset: Dataset) -> None:
    page = admin_client.get(reverse("admin:datasets_sample_changelist"), {"q": "bird-1.jpg"})
    assert [sample.file_name for sample in page.context["cl"].result_list] == ["bird-1.jpg"]


def test_a_sample_is_found_by_its_external_id(admin_client: Client, dataset: Dataset) -> None:
    page = admin_client.get(reverse("admin:datasets_sample_changelist"), {"q": "id 0"})
    assert [sample.external_id for sample in page.context["cl"].result_list] == ["id 0"]


def test_annotations_are_found_by_their_sample(admin_client: Client, dataset: Dataset) -> None:
    page = admin_client.get(reverse("admin:datasets_annotation_changelist"), {"q": "bird-1.jpg"})
    assert [annotation.sample.file_name for annotation in page.context["cl"].result_list] == ["bird-1.jpg"]


def test_a_search_for_a_huge_number_finds_nothing(admin_client: Client, dataset: Dataset) -> None:
    page = admin_client.get(reverse("admin:datasets_sample_changelist"), {"q": "9" * 40})
    assert not page.context["cl"].result_list


def test_samples_of_a_dataset_are_one_click_away(admin_client: Client, dataset: Dataset) -> None:
    make_sample(make_dataset())
    page = admin_client.get(reverse("admin:datasets_sample_changelist"), {"dataset": dataset.pk})
    assert {sample.dataset_id for sample in page.context["cl"].result_list} == {dataset.pk}


@pytest.mark.parametrize("table", ["sample", "annotation", "split", "category", "datasetimport", "upload"])
def test_rows_with_stored_totals_cannot_be_made_by_hand(admin_client: Client, dataset: Dataset, table: str) -> None:
    assert admin_client.get(reverse(f"admin:datasets_{table}_add")).status_code == 403


def test_samples_cannot_be_deleted_by_hand(admin_client: Client, dataset: Dataset) -> None:
    url = reverse("admin:datasets_sample_delete", args=[Sample.objects.first().pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403


def test_the_question_before_a_deletion_reads_no_rows(admin_client: Client, dataset: Dataset) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(reverse("admin:datasets_dataset_delete", args=[dataset.pk]))
    assert b"Samples: 2" in page.content
    assert not [query["sql"] for query in queries if "datasets_annotation" in query["sql"]]


def test_deleting_a_dataset_takes_everything_with_it(admin_client: Client, dataset: Dataset) -> None:
    admin_client.post(reverse("admin:datasets_dataset_delete", args=[dataset.pk]), {"post": "yes"})
    assert not Dataset.objects.exists() and not Annotation.objects.exists()


def test_selected_datasets_can_be_deleted(admin_client: Client, dataset: Dataset) -> None:
    selected = {"action": "delete_selected", "_selected_action": [dataset.pk], "post": "yes"}
    admin_client.post(reverse("admin:datasets_dataset_changelist"), selected)
    assert not Dataset.objects.exists()


def test_a_dataset_with_a_running_import_stays_and_says_why(admin_client: Client, dataset: Dataset) -> None:
    DatasetImport.objects.update(status=JobStatus.RUNNING)
    page = admin_client.post(reverse("admin:datasets_dataset_delete", args=[dataset.pk]), {"post": "yes"}, follow=True)
    assert Dataset.objects.exists()
    assert b"under way" in page.content


def test_a_selected_dataset_with_a_running_import_stays(admin_client: Client, dataset: Dataset) -> None:
    DatasetImport.objects.update(status=JobStatus.RUNNING)
    selected = {"action": "delete_selected", "_selected_action": [dataset.pk], "post": "yes"}
    page = admin_client.post(reverse("admin:datasets_dataset_changelist"), selected, follow=True)
    assert Dataset.objects.exists()
    assert b"under way" in page.content


def test_the_admin_is_closed_to_users_without_staff_rights(client_of: Any, dataset: Dataset) -> None:
    response = client_of(make_user()).get(reverse("admin:datasets_dataset_changelist"))
    assert response.status_code == 302 and "login" in response.url
