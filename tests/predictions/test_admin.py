"""Prediction runs and what they predicted in the admin."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from datasets.large_tables import REACH
from predictions.models import PredictedObject, PredictionImport, PredictionRun
from predictions.runs import refresh_prediction_count
from tests.factories import make_category, make_dataset, make_predicted_object, make_run, make_sample, make_user

LISTS = ["predictionrun", "predictedobject", "predictionimport"]


@pytest.fixture
def admin_client(db: None, client_of: Any) -> Client:
    client: Client = client_of(make_user("root", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def run(db: None) -> PredictionRun:
    dataset = make_dataset()
    run = make_run(dataset, "first", prediction_count=1)
    make_predicted_object(run, make_sample(dataset, file_name="bird.jpg"), make_category(dataset))
    PredictionImport.objects.create(dataset=dataset, source_name="results.json")
    refresh_prediction_count(dataset)
    return run


def add_objects(run: PredictionRun, count: int) -> None:
    first = run.objects_predicted.get()
    rows = [PredictedObject(run=run, sample=first.sample, category=first.category, score=0.5) for _ in range(count)]
    PredictedObject.objects.bulk_create(rows)


@pytest.mark.parametrize("table", LISTS)
@pytest.mark.parametrize("query", [{}, {"q": "bird.jpg"}])
def test_every_list_opens(admin_client: Client, run: PredictionRun, table: str, query: dict[str, str]) -> None:
    assert admin_client.get(reverse(f"admin:predictions_{table}_changelist"), query).status_code == 200


@pytest.mark.parametrize("row", [PredictionRun, PredictedObject, PredictionImport])
def test_every_row_opens(admin_client: Client, run: PredictionRun, row: Any) -> None:
    url = reverse(f"admin:predictions_{row._meta.model_name}_change", args=[row.objects.first().pk])
    assert admin_client.get(url).status_code == 200


def test_the_list_of_objects_takes_as_many_queries_for_many_rows(admin_client: Client, run: PredictionRun) -> None:
    url = reverse("admin:predictions_predictedobject_changelist")
    with CaptureQueriesContext(connection) as few:
        admin_client.get(url)
    add_objects(run, 20_000)
    with CaptureQueriesContext(connection) as many:
        page = admin_client.get(url)
    assert len(many) == len(few) <= 7
    assert page.context["cl"].result_count == REACH


def test_objects_of_a_run_come_by_its_index(admin_client: Client, run: PredictionRun) -> None:
    other = make_run(run.dataset, "second")
    make_predicted_object(other, run.objects_predicted.get().sample, run.objects_predicted.get().category)
    page = admin_client.get(reverse("admin:predictions_predictedobject_changelist"), {"run": other.pk})
    assert [found.run_id for found in page.context["cl"].result_list] == [other.pk]


def test_objects_are_found_by_their_sample(admin_client: Client, run: PredictionRun) -> None:
    page = admin_client.get(reverse("admin:predictions_predictedobject_changelist"), {"q": "bird.jpg"})
    assert len(page.context["cl"].result_list) == 1


def test_objects_cannot_be_deleted_one_by_one(admin_client: Client, run: PredictionRun) -> None:
    url = reverse("admin:predictions_predictedobject_delete", args=[run.objects_predicted.get().pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403


def test_the_question_before_a_deletion_reads_no_objects(admin_client: Client, run: PredictionRun) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(reverse("admin:predictions_predictionrun_delete", args=[run.pk]))
    assert b"Predicted objects: 1" in page.content
    assert not [query["sql"] for query in queries if 'FROM "predictions_predictedobject"' in query["sql"]]


def test_deleting_a_run_leaves_true_totals(admin_client: Client, run: PredictionRun) -> None:
    admin_client.post(reverse("admin:predictions_predictionrun_delete", args=[run.pk]), {"post": "yes"})
    run.dataset.refresh_from_db()
    assert not PredictionRun.objects.exists() and run.dataset.prediction_count == 0


def test_selected_runs_can_be_deleted(admin_client: Client, run: PredictionRun) -> None:
    selected = {"action": "delete_selected", "_selected_action": [run.pk], "post": "yes"}
    admin_client.post(reverse("admin:predictions_predictionrun_changelist"), selected)
    assert not PredictedObject.objects.exists()
