"""Images, their labels of both kinds, and runs, as the API gives them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from datasets.models import Dataset, Sample
from predictions.models import PredictedObject, PredictionRun
from tests.factories import (
    make_annotation,
    make_category,
    make_dataset,
    make_predicted_object,
    make_project,
    make_run,
    make_sample,
    make_user,
)

pytestmark = pytest.mark.django_db
SHAPE = {
    "id", "source", "run_id", "run", "category_id", "category_external_id", "category_name", "bbox", "area", "is_crowd",
    "confidence", "segmentation", "keypoints",
}  # fmt: skip


@pytest.fixture
def dataset(user: User) -> Dataset:
    """Three images; the first holds a cat, and a cat of each of the runs `a` and `b`."""
    found = make_dataset(make_project(user))
    cat = make_category(found, "cat")
    first, *_ = [make_sample(found, file_name=name) for name in ("one.jpg", "two.jpg", "three.png")]
    make_annotation(first, cat, is_crowd=True, segmentation=[[0, 0, 1.5, 0, 1, 1]], keypoints=[1.25, 2, 2])
    for name in ("a", "b"):
        make_predicted_object(make_run(found, name, prediction_count=1), first, cat, score=0.123456789)
    return found


@pytest.fixture
def ask(user: User, client_of: Callable[..., Client]) -> Callable[..., Any]:
    """The answer to a GET, decoded: ask(address, parameter=value)."""
    client = client_of(user)

    def get(address: str, **parameters: str) -> Any:
        response = client.get(address, parameters)
        return response.json() | {"status": response.status_code} if response.status_code >= 400 else response.json()

    return get


def first(dataset: Dataset) -> Sample:
    return dataset.samples.order_by("pk")[0]


def labels(dataset: Dataset) -> str:
    return f"/api/datasets/{dataset.pk}/samples/{first(dataset).pk}/annotations/"


def test_both_kinds_have_one_shape(dataset: Dataset, ask: Callable[..., Any]) -> None:
    results = ask(labels(dataset))["results"]
    assert [entry["source"] for entry in results] == ["ground_truth", "prediction", "prediction"]
    assert all(set(entry) == SHAPE for entry in results)


def test_nothing_is_rounded(dataset: Dataset, ask: Callable[..., Any]) -> None:
    truth, predicted, _ = ask(labels(dataset))["results"]
    assert predicted["confidence"] == 0.123456789
    assert (truth["segmentation"], truth["keypoints"]) == ([[0, 0, 1.5, 0, 1, 1]], [1.25, 2, 2])
    assert truth["is_crowd"] is True


@pytest.mark.parametrize(("source", "count"), [("ground_truth", 1), ("prediction", 2), ("all", 3)])
def test_a_source_alone(dataset: Dataset, ask: Callable[..., Any], source: str, count: int) -> None:
    assert ask(labels(dataset), source=source)["count"] == count


def test_a_run_by_name_or_id(dataset: Dataset, ask: Callable[..., Any]) -> None:
    run = PredictionRun.objects.get(name="b")
    for wanted in ("b", str(run.pk)):
        assert [entry["run_id"] for entry in ask(labels(dataset), source="prediction", run=wanted)["results"]] == [run.pk]


def test_a_name_goes_before_an_id(dataset: Dataset, ask: Callable[..., Any]) -> None:
    a, b = PredictionRun.objects.order_by("pk")
    b.name = str(a.pk)
    b.save()
    assert {entry["run_id"] for entry in ask(labels(dataset), source="prediction", run=b.name)["results"]} == {b.pk}


@pytest.mark.parametrize("wanted", ["c", "0", "-1", "9" * 30, "\0", "a\0", "\ud7ff", "' OR 1=1 --"])
def test_a_run_that_is_not_there_is_named(dataset: Dataset, ask: Callable[..., Any], wanted: str) -> None:
    answer = ask(labels(dataset), run=wanted)
    assert (answer["status"], answer["errors"][0]["field"]) == (400, "run")
    assert answer["remedy"]


def test_a_run_of_another_dataset_is_not_there(dataset: Dataset, user: User, ask: Callable[..., Any]) -> None:
    foreign = make_run(make_dataset(make_project(user)), "foreign")
    assert ask(labels(dataset), run=str(foreign.pk))["status"] == 400


@pytest.mark.parametrize("source", ["", "truth", "ALL", "\0"])
def test_a_wrong_source_is_refused(dataset: Dataset, ask: Callable[..., Any], source: str) -> None:
    answer = ask(labels(dataset), source=source)
    assert (answer["status"], answer["errors"][0]["field"]) == (400, "source")


def test_a_run_that_is_being_imported_is_not_seen(dataset: Dataset, ask: Callable[..., Any]) -> None:
    PredictionRun.objects.filter(name="b").update(status="running")
    assert ask(labels(dataset), source="prediction")["count"] == 1
    assert [run["name"] for run in ask(f"/api/datasets/{dataset.pk}/runs/")["results"]] == ["a"]


def test_an_image_of_another_dataset_is_not_found(dataset: Dataset, user: User, ask: Callable[..., Any]) -> None:
    other = make_dataset(make_project(user))
    assert ask(f"/api/datasets/{other.pk}/samples/{first(dataset).pk}/annotations/")["status"] == 404
    assert ask(f"/api/datasets/{other.pk}/samples/{first(dataset).pk}/")["status"] == 404


def test_strangers_find_nothing(dataset: Dataset, client_of: Callable[..., Client]) -> None:
    client = client_of(make_user())
    base = f"/api/datasets/{dataset.pk}"
    for address in (labels(dataset), f"{base}/samples/", f"{base}/samples/{first(dataset).pk}/", f"{base}/runs/"):
        assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["one.jpg", "two.jpg", "three.png"]),
        ({"file_name": ".JPG"}, ["one.jpg", "two.jpg"]),
        ({"file_name": "%"}, []),
        ({"split": "val"}, ["one.jpg", "two.jpg", "three.png"]),
        ({"split": "train"}, []),
        ({"category": "cat"}, ["one.jpg"]),
        ({"category": "dog"}, []),
    ],
)
def test_images_are_filtered(
    dataset: Dataset, ask: Callable[..., Any], parameters: dict[str, str], expected: list[str]
) -> None:
    found = ask(f"/api/datasets/{dataset.pk}/samples/", **parameters)["results"]
    assert [sample["file_name"] for sample in found] == expected


def test_images_come_in_pages(dataset: Dataset, ask: Callable[..., Any]) -> None:
    page = ask(f"/api/datasets/{dataset.pk}/samples/", page_size="2")
    assert len(page["results"]) == 2
    assert [sample["file_name"] for sample in ask(page["next"])["results"]] == ["three.png"]


def test_queries_do_not_grow_with_labels(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, address = client_of(user), labels(dataset)

    def queries() -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        return len(captured)

    few, cat = queries(), dataset.categories.get()
    for run in PredictionRun.objects.all():
        for _ in range(10):
            make_predicted_object(run, first(dataset), cat)
            make_annotation(first(dataset), cat)
    assert queries() == few < 10


def test_runs_are_listed(dataset: Dataset, ask: Callable[..., Any]) -> None:
    run, _ = ask(f"/api/datasets/{dataset.pk}/runs/")["results"]
    assert {"id", "name", "origin", "prediction_count", "skipped_count", "skipped", "created_at"} <= set(run)


def test_an_editor_deletes_a_run(dataset: Dataset, client_of: Callable[..., Client]) -> None:
    editor, viewer = make_user(), make_user()
    dataset.project.memberships.create(user=editor, role="editor")
    dataset.project.memberships.create(user=viewer, role="viewer")
    run = PredictionRun.objects.get(name="a")
    address = f"/api/datasets/{dataset.pk}/runs/{run.pk}/"
    assert client_of(viewer).delete(address).status_code == 403
    assert client_of(make_user()).delete(address).status_code == 404
    assert client_of(editor).delete(address).status_code == 204
    assert client_of(editor).delete(address).status_code == 404
    dataset.refresh_from_db()
    assert dataset.prediction_count == PredictedObject.objects.count() == 1


def test_a_run_is_deleted_through_its_own_dataset_only(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    other = make_dataset(make_project(user))
    run = PredictionRun.objects.get(name="a")
    assert client_of(user).delete(f"/api/datasets/{other.pk}/runs/{run.pk}/").status_code == 404
    assert PredictionRun.objects.filter(pk=run.pk).exists()
