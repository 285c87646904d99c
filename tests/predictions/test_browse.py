import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from datasets.models import Dataset
from predictions.forms import FilterForm
from predictions.models import PredictionRun
from predictions.overlays import MOST_PER_THUMB
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


@pytest.fixture
def dataset(user: User) -> Dataset:
    """Images 0 to 6: those with even numbers hold a cat; `a` predicts a dog on 1 with 0.9 and a cat on 2 with 0.3."""
    found = make_dataset(make_project(user), sample_count=7)
    cat, dog = make_category(found, "cat"), make_category(found, "dog")
    samples = [make_sample(found, file_name=f"{(5 * n) % 7}.jpg", annotation_count=int(n % 2 == 0)) for n in range(7)]
    for sample in samples[::2]:
        make_annotation(sample, cat)
    run = make_run(found, "a", prediction_count=2)
    make_predicted_object(run, samples[1], dog, score=0.9)
    make_predicted_object(run, samples[2], cat, score=0.3)
    return found


def chosen(dataset: Dataset, **filters: Any) -> list[int]:
    """Places (0 to 6) of the images that fit."""
    from django.http import QueryDict

    query = QueryDict(mutable=True)
    query.update(filters)
    keys = list(dataset.samples.order_by("pk").values_list("pk", flat=True))
    return [keys.index(sample.pk) for sample in FilterForm(query, dataset).selection().samples()]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6]),
        ({"objects": "none"}, [1, 3, 5]),
        ({"objects": "some"}, [0, 2, 4, 6]),
        ({"predicted": "with"}, [1, 2]),
        ({"predicted": "without"}, [0, 3, 4, 5, 6]),
        ({"low": "0.5"}, [1]),
        ({"high": "0.5"}, [2]),
        ({"low": "0.2", "high": "0.5"}, [2]),
        ({"name": "3.J"}, [2]),
        ({"split": "val"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"sort": "name"}, [0, 3, 6, 2, 5, 1, 4]),
        ({"sort": "fewest"}, [1, 3, 5, 0, 2, 4, 6]),
        ({"sort": "most"}, [6, 4, 2, 0, 5, 3, 1]),
        # What makes no sense is left out: an old link never breaks.
        ({"low": "x", "category": "999999999999", "sort": "nope", "split": "gone"}, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_filters_and_orders(dataset: Dataset, filters: dict[str, str], expected: list[int]) -> None:
    assert chosen(dataset, **filters) == expected


def test_a_class_comes_from_the_truth_or_from_the_chosen_runs(dataset: Dataset) -> None:
    dog = dataset.categories.get(name="dog")
    assert chosen(dataset, category=str(dog.pk)) == [1]
    assert chosen(dataset, category=str(dog.pk), run="none") == []


@pytest.mark.parametrize("sort", ["file", "name", "most", "fewest"])
def test_pages_and_neighbours_walk_the_whole_selection_once(dataset: Dataset, sort: str) -> None:
    from django.http import QueryDict

    selection = FilterForm(QueryDict(f"sort={sort}"), dataset).selection()
    whole = list(selection.samples())
    walked, anchor = [], None
    while True:
        page, has_more = selection.page(anchor, size=2)
        walked += page
        if not has_more:
            break
        anchor = page[-1]
    assert walked == whole
    before, after = selection.around(whole[3], reach=2)
    assert [*before, whole[3], *after] == whole[1:6]


def overlays(html: str, ident: str) -> Any:
    found = re.search(rf'<script id="{ident}[^"]*" type="application/json">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found.group(1))


def test_the_grid_holds_truth_and_the_newest_run(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    html = client_of(user).get(reverse("predictions:images", args=[dataset.pk])).content.decode()
    run = PredictionRun.objects.get()
    entries = list(overlays(html, "overlays-").values())
    assert [len(entry["truth"]) for entry in entries] == [1, 0, 1, 0, 1, 0, 1]
    assert entries[1]["runs"][str(run.pk)][0][5] == 0.9


def test_the_next_page_comes_as_a_fragment(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    first = dataset.samples.order_by("pk").first()
    response = client_of(user).get(
        reverse("predictions:images", args=[dataset.pk]), {"after": first.pk}, headers={"HX-Request": "true"}
    )
    html = response.content.decode()
    assert "<html" not in html
    assert html.count("sample-card") == 6
    assert "HX-Request" in response.headers["Vary"]


def test_hostile_names_are_escaped_everywhere(user: User, client_of: Callable[..., Client]) -> None:
    name = "</script><img src=x onerror=alert(1)>"
    dataset = make_dataset(make_project(user), sample_count=1)
    category = make_category(dataset, name)
    sample = make_sample(dataset, file_name=name)
    make_annotation(sample, category)
    make_predicted_object(make_run(dataset, name), sample, category)
    client = client_of(user)
    for address in (
        reverse("predictions:images", args=[dataset.pk]),
        reverse("predictions:facets", args=[dataset.pk]),
        reverse("predictions:sample", args=[dataset.pk, sample.pk]),
        reverse("predictions:runs", args=[dataset.pk]),
        reverse("predictions:statistics", args=[dataset.pk]),
    ):
        assert "<img src=x" not in client.get(address).content.decode()


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_the_grid_takes_fewer_than_ten_queries_however_many_images(
    dataset: Dataset, user: User, client_of: Callable[..., Client]
) -> None:
    client, address = client_of(user), reverse("predictions:images", args=[dataset.pk])
    few = queries(client, address)
    for _ in range(20):
        make_predicted_object(PredictionRun.objects.get(), make_sample(dataset), dataset.categories.first())
    assert queries(client, address) == few < 10


def test_the_sample_page_takes_fewer_than_fifteen_queries_with_six_runs(
    dataset: Dataset, user: User, client_of: Callable[..., Client]
) -> None:
    sample = dataset.samples.order_by("pk")[3]
    runs = [make_run(dataset, f"run {n}") for n in range(6)]
    for run in runs:
        make_predicted_object(run, sample, dataset.categories.first())
    address = reverse("predictions:sample", args=[dataset.pk, sample.pk]) + "?" + "&".join(f"run={run.pk}" for run in runs)
    client = client_of(user)
    assert queries(client, address) < 15
    stage = overlays(client.get(address).content.decode(), "stage-data")
    assert [layer["name"] for layer in stage["layers"]] == ["Ground truth", *(f"run {n}" for n in range(6))]


def test_masks_keypoints_and_crowds_are_drawn(user: User, client_of: Callable[..., Client]) -> None:
    dataset = make_dataset(make_project(user), sample_count=1)
    category = make_category(dataset, "hand", keypoint_names=["a", "b"], skeleton=[[1, 2]])
    sample = make_sample(dataset)
    make_annotation(sample, category, segmentation=[[0, 0, 10, 0, 10, 10]], keypoints=[1, 2, 2, 3, 4, 1], is_crowd=True)
    html = client_of(user).get(reverse("predictions:sample", args=[dataset.pk, sample.pk])).content.decode()
    stage = overlays(html, "stage-data")
    (entry,) = stage["layers"][0]["objects"]
    assert (entry["path"], entry["keypoints"], entry["crowd"]) == ("M0 0L10 0L10 10Z", [1, 2, 2, 3, 4, 1], True)
    assert stage["categories"][str(category.pk)]["skeleton"] == [[1, 2]]


def test_deleting_a_run(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    run = PredictionRun.objects.get()
    address = reverse("predictions:run_delete", args=[run.pk])
    viewer = make_user()
    dataset.project.memberships.create(user=viewer, role="viewer")
    assert client_of(viewer).post(address).status_code == 403
    assert client_of(make_user()).post(address).status_code == 404
    assert client_of(user).get(address).status_code == 405
    assert client_of(user).post(address).status_code == 302
    dataset.refresh_from_db()
    assert dataset.prediction_count == 0
    assert client_of(user).post(address).status_code == 404


def test_charts_are_json(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    data = client_of(user).get(reverse("predictions:class_chart", args=[dataset.pk])).json()
    assert data["labels"] == ["cat", "dog"]
    assert data["datasets"][0]["data"] == [4, 0]
    sizes = client_of(user).get(reverse("predictions:size_chart", args=[dataset.pk])).json()
    assert sum(sizes["datasets"][0]["data"]) == 4


def test_annotations_of_both_kinds_in_one_shape(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    sample = dataset.samples.order_by("pk")[2]
    address = f"/api/datasets/{dataset.pk}/samples/{sample.pk}/annotations/"
    client = client_of(user)
    truth, predicted = client.get(address).json()["results"]
    assert truth.keys() == predicted.keys()
    assert (truth["source"], truth["confidence"], truth["bbox"]) == ("ground_truth", None, [10, 20, 100, 50])
    assert (predicted["source"], predicted["confidence"], predicted["area"]) == ("prediction", 0.3, 5000)
    assert client.get(address, {"source": "prediction", "run": "a"}).json()["count"] == 1
    refused = client.get(address, {"source": "guess"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "source")


def test_templates_name_no_inline_script() -> None:
    for template in Path("templates").rglob("*.html"):
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*json)|\son\w+=", template.read_text()), template


def facet_numbers(client: Client, dataset: Dataset, **filters: Any) -> list[tuple[str, str, str]]:
    """What each facet links to, its name and its count."""
    html = client.get(reverse("predictions:facets", args=[dataset.pk]), filters).content.decode()
    found = re.findall(r'<li><a href="([^"]*)".*?title="[^"]*">([^<]*)</span> <span class="num">([\d,]+)', html)
    return [(href.replace("&amp;", "&").partition("?")[2], name, count) for href, name, count in found]


def test_facets_count_within_the_rest_of_the_filter(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    cat, dog = dataset.categories.order_by("position")
    make_annotation(make_sample(dataset, split="test", annotation_count=1), dog)
    client = client_of(user)
    assert [facet[1:] for facet in facet_numbers(client, dataset, split="val", objects="some")] == [
        ("test", "1"), ("val", "4"), ("cat", "4"), ("dog", "0"),
    ]  # fmt: skip
    assert facet_numbers(client, dataset, predicted="with", category=cat.pk)[2:] == [
        ("predicted=with", "cat", "1"),
        (f"predicted=with&category={dog.pk}", "dog", "0"),
    ]


def test_facets_take_no_more_queries_with_more_classes(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, address = client_of(user), reverse("predictions:facets", args=[dataset.pk]) + "?objects=some"
    few = queries(client, address)
    for number in range(10):
        make_annotation(make_sample(dataset), make_category(dataset, f"kind {number}"))
    assert queries(client, address) == few < 10


def test_a_thumbnail_shows_the_best_of_many(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    run, sample = PredictionRun.objects.get(), dataset.samples.order_by("pk")[0]
    for number in range(MOST_PER_THUMB + 5):
        make_predicted_object(run, sample, dataset.categories.first(), score=number / 100)
    html = client_of(user).get(reverse("predictions:images", args=[dataset.pk])).content.decode()
    scores = [entry[5] for entry in overlays(html, "overlays-")[str(sample.pk)]["runs"][str(run.pk)]]
    assert len(scores) == MOST_PER_THUMB
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == (MOST_PER_THUMB + 4) / 100


def test_filters_cost_no_further_queries(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, address = client_of(user), reverse("predictions:images", args=[dataset.pk])
    cat = dataset.categories.order_by("position")[0]
    assert queries(client, f"{address}?split=val&category={cat.pk}&name=j&low=0.1&sort=most") <= 10
