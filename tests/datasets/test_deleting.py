"""Deleting a dataset takes along what belongs to it, and nothing else."""

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets.deleting import delete_dataset
from datasets.models import Annotation, Dataset, DatasetImport, Sample
from predictions.models import PredictedObject, PredictionImport
from tests.factories import (
    make_annotation,
    make_category,
    make_dataset,
    make_predicted_object,
    make_project,
    make_run,
    make_sample,
)

pytestmark = pytest.mark.django_db


def make_full_dataset(**fields: object) -> Dataset:
    dataset = make_dataset(make_project(), **fields)
    sample, category = make_sample(dataset), make_category(dataset)
    make_annotation(sample, category)
    run = make_run(dataset)
    make_predicted_object(run, sample, category)
    DatasetImport.objects.create(dataset=dataset, source_name="a.json", status="completed")
    PredictionImport.objects.create(dataset=dataset, source_name="b.json", status="completed", run=run)
    return dataset


def test_no_row_of_it_is_left() -> None:
    delete_dataset(make_full_dataset())
    tables = [table for app in ("datasets", "predictions") for table in apps.get_app_config(app).get_models()]
    assert [table.__name__ for table in tables if table.objects.exists()] == []


def test_other_datasets_stay_whole() -> None:
    kept = make_full_dataset()
    delete_dataset(make_full_dataset())
    counts = [table.objects.count() for table in (Dataset, Sample, Annotation, PredictedObject, DatasetImport)]
    assert counts == [1, 1, 1, 1, 1] and kept.splits.exists()


def test_the_second_time_does_nothing() -> None:
    dataset = make_full_dataset()
    delete_dataset(dataset)
    delete_dataset(dataset)


def test_images_and_thumbnails_go_after_the_commit(django_capture_on_commit_callbacks, settings, tmp_path) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    dataset = make_full_dataset()
    image = f"images/{dataset.pk}/1-1/0000/0.jpg"
    names = [default_storage.save(name, ContentFile(b"x")) for name in (image, f"thumbs/{image}-320.webp")]
    with django_capture_on_commit_callbacks(execute=True):
        delete_dataset(dataset)
    assert not any(map(default_storage.exists, names))


def test_the_number_of_statements_does_not_grow() -> None:
    def cost(rows: int) -> int:
        dataset = make_full_dataset()
        category = make_category(dataset)
        for _ in range(rows):
            make_annotation(make_sample(dataset), category)
        with CaptureQueriesContext(connection) as queries:
            delete_dataset(dataset)
        return len(queries)

    assert cost(1) == cost(20)
