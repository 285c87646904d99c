"""Import pages of predictions: the results file, the doctor's report, the end."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from datasets.models import Dataset, JobStatus
from predictions import tasks
from predictions.models import PredictionImport, PredictionRun
from tests.coco_files import coco, result
from tests.factories import make_category, make_dataset, make_project, make_run, make_sample, make_user
from tests.uploaded import form_file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def dataset(user: User) -> Dataset:
    found = make_dataset(make_project(user), name="birds", sample_count=1)
    make_category(found, "cat", "7")
    make_sample(found, external_id="10", file_name="001.jpg", width=100, height=80)
    return found


@pytest.fixture
def client(client_of, user: User) -> Client:
    return client_of(user)


def start(client: Client, dataset: Dataset, content: Any, **data: Any) -> Any:
    body = {"name": "prediction", "file": form_file(content, name="results.json"), **data}
    return client.post(reverse("predictions:import_new", args=[dataset.pk]), body)


def look(job: PredictionImport) -> PredictionImport:
    tasks.run_prediction_import(job.pk)
    job.refresh_from_db()
    return job


def looked_at(client: Client, dataset: Dataset, content: Any, **data: Any) -> PredictionImport:
    start(client, dataset, content, **data)
    return look(PredictionImport.objects.get())


def act(client: Client, job: PredictionImport, action: str, **data: Any) -> Any:
    return client.post(reverse(f"predictions:import_{action}", args=[job.pk]), data)


def page(client: Client, job: PredictionImport) -> str:
    return client.get(job.get_absolute_url()).content.decode()


def test_a_results_file_is_looked_at_first(client: Client, dataset: Dataset) -> None:
    job = looked_at(client, dataset, [result(), result(image_id=99)], name="epoch-12")
    shown = page(client, job)
    assert (job.status, job.run_name) == (JobStatus.DRAFT, "epoch-12") and not PredictionRun.objects.exists()
    assert "1 of 2 rows do not fit" in shown and "image_id 99" in shown and "Import 1 prediction" in shown


def test_confirming_makes_the_run(client: Client, dataset: Dataset) -> None:
    job = looked_at(client, dataset, [result()])
    act(client, job, "confirm")
    look(job)
    run = PredictionRun.objects.get()
    shown = page(client, job)
    assert run.prediction_count == 1 and "Stored 1 prediction in the run prediction" in shown
    assert run.get_absolute_url() in shown


def test_a_whole_dictionary_comes_in_by_names(client: Client, dataset: Dataset) -> None:
    own = coco(1, annotations=[{"id": 1, "image_id": 10, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5}])
    own["images"][0]["id"], own["annotations"][0]["image_id"] = 0, 0
    job = looked_at(client, dataset, own)
    assert "Switch on all 2 and look again" in page(client, job) and "Nothing of it fits yet" in page(client, job)
    act(client, job, "reexamine", fixes=["match_file_stem", "map_by_name"])
    look(job)
    assert "everything fits" in page(client, job)
    act(client, job, "confirm")
    assert look(job).status == JobStatus.COMPLETED and PredictionRun.objects.get().prediction_count == 1


def test_ids_that_look_shifted_are_suspected(client: Client, dataset: Dataset) -> None:
    make_category(dataset, "dog", "8")
    job = looked_at(client, dataset, [result(category_id=8), result(category_id=9)])
    assert "Ids shifted by one?" in page(client, job) and "Shift category ids by one" in page(client, job)
    act(client, job, "reexamine", fixes=["shift_category_ids"])
    assert "Ids shifted by one?" not in page(client, look(job)) and "everything fits" in page(client, job)


def test_a_run_of_that_name_will_be_replaced(client: Client, dataset: Dataset) -> None:
    make_run(dataset, prediction_count=47_520)
    shown = page(client, looked_at(client, dataset, [result()]))
    assert "47,520 predictions" in shown and "will be replaced" in shown


def test_a_split_is_chosen_where_there_are_several(client: Client, dataset: Dataset) -> None:
    url = reverse("predictions:import_new", args=[dataset.pk])
    assert 'name="split"' not in client.get(url).content.decode()
    make_sample(dataset, split="train", external_id="10")
    assert 'name="split"' in client.get(url).content.decode()
    assert looked_at(client, dataset, [result()], split="train").status == JobStatus.DRAFT


def test_an_unknown_split_is_refused(client: Client, dataset: Dataset) -> None:
    make_sample(dataset, split="train", external_id="10")
    assert start(client, dataset, [result()], split="test").status_code == 422


def test_a_name_is_needed(client: Client, dataset: Dataset) -> None:
    assert start(client, dataset, [result()], name=" ").status_code == 422


def test_ground_truth_comes_first(client: Client, dataset: Dataset) -> None:
    empty = make_dataset(dataset.project)
    shown = client.get(reverse("predictions:import_new", args=[empty.pk])).content.decode()
    assert "Ground truth comes first" in shown and reverse("datasets:import_new", args=[empty.pk]) in shown


def test_a_failure_says_what_and_where(client: Client, dataset: Dataset) -> None:
    shown = page(client, looked_at(client, dataset, "[{"))
    assert "The file is cut short" in shown and "byte 2 of 2" in shown and "runs that were there are as they were" in shown


def test_cancelling_and_trying_again(client: Client, dataset: Dataset) -> None:
    job = looked_at(client, dataset, [result()])
    act(client, job, "cancel")
    act(client, job, "retry")
    assert look(job).status == JobStatus.DRAFT


def test_rejected_rows_are_downloaded_before_deciding(client: Client, dataset: Dataset) -> None:
    job = looked_at(client, dataset, [result(), result(image_id=99)])
    answer = client.get(reverse("predictions:import_rejects", args=[job.pk]))
    assert b"unknown_image" in b"".join(answer.streaming_content)


def test_a_poll_gets_the_progress_alone(client: Client, dataset: Dataset) -> None:
    start(client, dataset, [result()])
    shown = client.get(PredictionImport.objects.get().get_absolute_url(), headers=HTMX).content.decode()
    assert 'id="import-progress"' in shown and "<html" not in shown


def test_the_panel_lists_imports(client: Client, dataset: Dataset) -> None:
    looked_at(client, dataset, [result()], name="epoch-12")
    panel = client.get(reverse("predictions:imports", args=[dataset.pk]), headers=HTMX).content.decode()
    assert "results.json" in panel and "epoch-12" in panel and "<html" not in panel


def test_an_empty_panel_says_what_to_do(client: Client, dataset: Dataset) -> None:
    panel = client.get(reverse("predictions:imports", args=[dataset.pk])).content.decode()
    assert "No predictions were imported yet" in panel


def test_a_viewer_sees_but_decides_nothing(client: Client, client_of, dataset: Dataset) -> None:
    job = looked_at(client, dataset, [result()])
    viewer = make_user()
    dataset.project.memberships.create(user=viewer, role="viewer")
    assert "hx-post" not in page(client_of(viewer), job)
    assert act(client_of(viewer), job, "confirm").status_code == 403


def test_a_stranger_finds_nothing(client: Client, client_of, dataset: Dataset) -> None:
    job = looked_at(client, dataset, [result()])
    assert client_of(make_user()).get(job.get_absolute_url()).status_code == 404
