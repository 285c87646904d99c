"""Charts and tables of what a dataset holds."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from datasets.models import Dataset
from predictions.charts import MOST_CLASSES, box_sizes, class_distribution
from tests.factories import make_annotation, make_category, make_dataset, make_project, make_run, make_sample, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(user: User) -> Dataset:
    return make_dataset(make_project(user), annotation_count=1, sample_count=1)


def test_classes_come_with_their_counts_most_first(dataset: Dataset) -> None:
    rare, common, _ = (make_category(dataset, name) for name in ("rare", "common", "absent"))
    for category in (common, rare, common):
        make_annotation(make_sample(dataset), category)
    assert [(bar.label, bar.count) for bar in class_distribution(dataset)] == [("common", 2), ("rare", 1), ("absent", 0)]


def test_other_datasets_are_not_counted(dataset: Dataset, user: User) -> None:
    other = make_dataset(make_project(user))
    make_annotation(make_sample(other), make_category(other))
    assert class_distribution(dataset) == []
    assert sum(bar.count for bar in box_sizes(dataset)) == 0


@pytest.mark.parametrize(
    ("width", "height", "label", "name"),
    [
        (7.9, 7.9, "0–8", "small"),
        (8, 8, "8–16", "small"),
        (31, 33, "16–32", "small"),
        (32, 32, "32–64", "medium"),
        (96, 96, "96–128", "large"),
        (5000, 5000, "over 1024", "large"),
    ],
)
def test_boxes_are_sorted_by_size(dataset: Dataset, width: float, height: float, label: str, name: str) -> None:
    make_annotation(make_sample(dataset), make_category(dataset), width=width, height=height)
    assert [(bar.label, bar.note) for bar in box_sizes(dataset) if bar.count] == [(label, name)]


def test_labels_without_a_box_have_no_size(dataset: Dataset) -> None:
    make_annotation(make_sample(dataset), make_category(dataset), x=None, y=None, width=None, height=None)
    assert sum(bar.count for bar in box_sizes(dataset)) == 0


def test_the_page_tells_every_class_in_a_table_with_its_images(
    dataset: Dataset, user: User, client_of: Callable[..., Client]
) -> None:
    category = make_category(dataset, "cat")
    make_annotation(make_sample(dataset), category)
    html = client_of(user).get(reverse("predictions:statistics", args=[dataset.pk])).content.decode()
    assert f'href="{reverse("predictions:images", args=[dataset.pk])}?category={category.pk}">cat</a>' in html


def test_charts_show_the_commonest_classes_only(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    for number in range(MOST_CLASSES + 5):
        make_category(dataset, f"class {number}")
    data = client_of(user).get(reverse("predictions:class_chart", args=[dataset.pk])).json()
    assert len(data["labels"]) == MOST_CLASSES


def test_queries_do_not_grow(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, address = client_of(user), reverse("predictions:statistics", args=[dataset.pk])

    def queries() -> int:
        for _ in range(10):
            make_annotation(make_sample(dataset), make_category(dataset))
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        return len(captured)

    queries()
    assert queries() == queries() < 10


@pytest.mark.parametrize("name", ["statistics", "class_chart", "size_chart", "runs", "images", "facets"])
def test_strangers_find_nothing(dataset: Dataset, client_of: Callable[..., Client], name: str) -> None:
    assert client_of(make_user()).get(reverse(f"predictions:{name}", args=[dataset.pk])).status_code == 404


@pytest.mark.parametrize("name", ["statistics", "runs", "images"])
def test_an_empty_dataset_says_what_to_do_to_those_who_may(user: User, client_of: Callable[..., Client], name: str) -> None:
    viewer = make_user()
    dataset = make_dataset(make_project(user, viewer=viewer))
    address = reverse(f"predictions:{name}", args=[dataset.pk])
    assert "empty-state" in client_of(viewer).get(address).content.decode()
    assert "/import/" in client_of(user).get(address).content.decode()
    assert "/import/" not in client_of(viewer).get(address).content.decode()


def test_runs_tell_what_was_skipped_and_what_goes_with_them(
    dataset: Dataset, user: User, client_of: Callable[..., Client]
) -> None:
    make_run(dataset, "a", prediction_count=475_200, skipped_count=3, skipped={"unknown_image": 2, "of another day": 1})
    html = client_of(user).get(reverse("predictions:runs", args=[dataset.pk])).content.decode()
    assert "This deletes 475,200 predictions" in html
    assert "1 of another day" in html


def test_the_list_of_runs_takes_the_same_queries_for_ten_and_twenty(
    dataset: Dataset, user: User, client_of: Callable[..., Client]
) -> None:
    client, address = client_of(user), reverse("predictions:runs", args=[dataset.pk])

    def queries() -> int:
        for number in range(10):
            make_run(dataset, f"{len(seen)}-{number}", created_by=user)
        seen.append(1)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        return len(captured)

    seen: list[int] = []
    queries()
    assert queries() == queries() < 10
