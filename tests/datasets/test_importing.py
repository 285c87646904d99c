from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from datasets import importing
from datasets.models import Annotation, Dataset, DatasetImport, JobStatus, Sample
from datasets.requests import make_dataset_import
from datasets.runner import run_job
from datasets.work import work_on
from tests.coco_files import annotation, coco, picture, write
from tests.factories import make_dataset, make_predicted_object, make_run

pytestmark = pytest.mark.django_db

Importing = Callable[..., DatasetImport]


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset(name="birds")


@pytest.fixture
def imported(dataset: Dataset, tmp_path: Path) -> Importing:
    def run(content: Any, **options: Any) -> DatasetImport:
        wanted = {
            "split": "val",
            "upload": None,
            "images": None,
            "importer": "coco",
            "fixes": (),
            "replace": False,
            "dry_run": False,
        }
        path = write(tmp_path / "truth.json", content)
        job = make_dataset_import(None, dataset, path=path, **(wanted | options))
        run_job(job, lambda heartbeat: work_on(job, heartbeat))
        dataset.refresh_from_db()
        return job

    return run


def counts(dataset: Dataset) -> tuple[int, int, int]:
    return dataset.sample_count, dataset.annotation_count, dataset.prediction_count


def test_what_is_counted_is_there(dataset: Dataset, imported: Importing) -> None:
    job = imported(coco(images=3))
    assert job.status == JobStatus.COMPLETED
    assert counts(dataset) == (3, 3, 0) == (Sample.objects.count(), Annotation.objects.count(), 0)
    assert list(dataset.samples.values_list("annotation_count", flat=True)) == [1, 1, 1]


@pytest.mark.parametrize(("held", "batch"), [(1, 1), (2, 3), (3, 2), (100, 2), (2, 100)])
def test_annotations_are_counted_whatever_is_written_first(
    dataset: Dataset, imported: Importing, monkeypatch: pytest.MonkeyPatch, held: int, batch: int
) -> None:
    monkeypatch.setattr(importing, "SAMPLES_HELD", held)
    monkeypatch.setattr(importing, "BATCH", batch)
    boxes = [annotation(id=n, image_id=image) for n, image in enumerate([50, 10, 10, 40, 10, 50, 30], 1)]
    for job in (
        imported(coco(images=5) | {"annotations": boxes}),
        imported(coco(images=5) | {"annotations": boxes[1:]}, replace=True),
    ):
        assert job.status == JobStatus.COMPLETED, job.error
        found = {each.external_id: each.annotation_count for each in dataset.samples.all()}
        assert found == {str(key): Annotation.objects.filter(sample__external_id=key).count() for key in range(10, 60, 10)}
    assert found == {"10": 3, "20": 0, "30": 1, "40": 1, "50": 1}


def test_numbers_arrive_unrounded(imported: Importing) -> None:
    imported(coco(images=1) | {"annotations": [annotation(bbox=[0.1234567890123456, 2, 30.000000001, 40], area=1e-9)]})
    stored = Annotation.objects.get()
    assert (stored.x, stored.width, stored.area, stored.area_rule) == (0.1234567890123456, 30.000000001, 1e-9, "file")


def test_a_split_is_not_replaced_unasked(dataset: Dataset, imported: Importing) -> None:
    imported(coco(images=3))
    job = imported(coco(images=1))
    assert (job.status, "shall be replaced" in job.error) == (JobStatus.FAILED, True)
    assert counts(dataset) == (3, 3, 0)


def test_replacing_touches_that_split_only(dataset: Dataset, imported: Importing) -> None:
    imported(coco(images=3), split="train")
    imported(coco(images=2))
    before = list(Sample.objects.filter(split__name="train").order_by("pk").values_list("pk", "annotations__pk"))
    imported(coco(images=1), replace=True)
    assert list(Sample.objects.filter(split__name="train").order_by("pk").values_list("pk", "annotations__pk")) == before
    assert counts(dataset) == (4, 4, 0)


def test_an_image_that_stays_keeps_what_models_said_of_it(dataset: Dataset, imported: Importing) -> None:
    imported(coco(images=2))
    stays, goes = dataset.samples.order_by("pk")
    run = make_run(dataset, prediction_count=3)
    for sample in (stays, stays, goes):
        make_predicted_object(run, sample, dataset.categories.get(name="cat"))
    Dataset.objects.filter(pk=dataset.pk).update(prediction_count=3)
    imported(coco(images=1), replace=True)
    run.refresh_from_db()
    assert list(dataset.samples.values_list("pk", flat=True)) == [stays.pk]
    assert (counts(dataset), run.prediction_count) == ((1, 1, 2), 2)


def test_the_same_id_under_another_file_name_is_another_image(dataset: Dataset, imported: Importing) -> None:
    imported(coco(images=1))
    before = dataset.samples.get()
    imported(
        coco() | {"images": [{"id": 10, "file_name": "other.jpg", "width": 100, "height": 80}], "annotations": []}, replace=True
    )
    assert dataset.samples.get().pk != before.pk


@pytest.mark.parametrize("content", [b"", b"[]", b'{"images": [', b'{"images": []}', b"\x1f\x8b", b'{"a": ' * 400])
def test_a_bad_file_leaves_everything_as_it_was(dataset: Dataset, imported: Importing, content: bytes) -> None:
    imported(coco(images=2))
    before = list(Annotation.objects.values_list("pk", flat=True))
    job = imported(content, replace=True)
    assert (job.status, bool(job.error)) == (JobStatus.FAILED, True)
    assert list(Annotation.objects.values_list("pk", flat=True)) == before
    assert counts(dataset) == (2, 2, 0)


def test_a_failed_import_leaves_no_files(dataset: Dataset, imported: Importing, tmp_path: Path) -> None:
    folder = Path(settings.MEDIA_ROOT) / "images" / str(dataset.pk)
    picture(tmp_path / "images" / "001.jpg")
    text = '{"images": [{"id": 1, "file_name": "001.jpg", "width": 100, "height": 80}], "annotations": [{]}'
    assert imported(text, images=tmp_path / "images").status == JobStatus.FAILED
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_images_are_stored_and_replaced_ones_removed(dataset: Dataset, imported: Importing, tmp_path: Path) -> None:
    folder = Path(settings.MEDIA_ROOT) / "images" / str(dataset.pk)
    picture(tmp_path / "images" / "001.jpg")
    for replace in (False, True):
        imported(coco(images=1), images=tmp_path / "images", replace=replace)
    stored = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.relative_to(settings.MEDIA_ROOT).as_posix() for path in stored] == [dataset.samples.get().image]


def test_one_class_id_never_means_two_names(dataset: Dataset, imported: Importing) -> None:
    imported(coco(images=1), split="train")
    other = coco(images=1) | {"categories": [{"id": 7, "name": "dog"}, {"id": 0, "name": "cat"}]}
    assert "map_by_name" in imported(other).error
    imported(other, fixes=["map_by_name"])
    (found,) = Annotation.objects.filter(sample__split__name="val")
    assert (found.category.name, found.category.external_id) == ("dog", "0")


def test_a_dry_run_stores_nothing_and_waits(dataset: Dataset, imported: Importing) -> None:
    job = imported(coco(images=2) | {"annotations": [annotation(), annotation(id=2, image_id=99)]}, dry_run=True)
    assert job.status == JobStatus.DRAFT
    assert {kind: job.report[kind]["annotations"] for kind in ("read", "stored", "rejected")} == {
        "read": 2,
        "stored": 1,
        "rejected": 1,
    }
    assert counts(dataset) == (0, 0, 0)


def test_a_cancelled_import_is_undone(dataset: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path / "truth.json", coco(images=2))
    job = make_dataset_import(
        None, dataset, path=path, split="val", upload=None, images=None, importer="coco", fixes=(), replace=False, dry_run=False
    )

    def cancelled_meanwhile(heartbeat: Any) -> None:
        DatasetImport.objects.filter(pk=job.pk).update(status=JobStatus.CANCELLED)
        work_on(job, heartbeat)

    run_job(job, cancelled_meanwhile)
    assert job.status == JobStatus.CANCELLED
    assert not Sample.objects.exists()


def test_a_second_delivery_does_nothing(dataset: Dataset, imported: Importing) -> None:
    job = imported(coco(images=2))
    assert run_job(job, lambda heartbeat: work_on(job, heartbeat)) is False
    dataset.refresh_from_db()
    assert counts(dataset) == (2, 2, 0)
