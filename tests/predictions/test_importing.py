import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from datasets.importers.problems import ImportRefused
from datasets.models import Dataset, JobStatus, Sample
from predictions.jobs import start_prediction_import
from predictions.models import PredictedObject, PredictionImport, PredictionRun
from tests.coco_files import result, without, write
from tests.factories import make_annotation, make_category, make_dataset, make_run, make_sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset() -> Dataset:
    """Ids with gaps, from 0, zero-padded, as text."""
    found = make_dataset(name="birds")
    make_category(found, "cat", "7")
    make_category(found, "dog", "0")
    for external_id in ("10", "0020", "stem-3"):
        sample = make_sample(found, external_id=external_id, file_name=f"images/{external_id}.jpg", width=100, height=80)
        make_annotation(sample, found.categories.first())
    return found


@pytest.fixture
def imported(dataset: Dataset, tmp_path: Path) -> Callable[..., PredictionImport]:
    def run(content: Any, **options: Any) -> PredictionImport:
        path = write(tmp_path / "results.json", content)
        return start_prediction_import(None, dataset, path=path, wait=True, **options)

    return run


def test_numbers_arrive_unrounded_and_in_file_order(imported: Callable[..., PredictionImport]) -> None:
    boxes = [[0.1234567890123456, 2, 3.5, 4.000000001], [1e-9, 0, 1, 1], [5, 6, 7, 8]]
    job = imported([result(bbox=box, score=0.5) for box in boxes])
    stored = PredictedObject.objects.filter(run=job.run).order_by("pk").values_list("x", "y", "width", "height")
    assert [list(box) for box in stored] == boxes


def test_ids_may_be_numbers_or_text(imported: Callable[..., PredictionImport]) -> None:
    job = imported([result(image_id="10"), result(image_id="0020", category_id="0"), result(image_id="stem-3")])
    found = PredictedObject.objects.filter(run=job.run).values_list("sample__external_id", "category__name")
    assert sorted(found) == [("0020", "dog"), ("10", "cat"), ("stem-3", "cat")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (result(image_id=20), "unknown_image"),  # 20 is not 0020
        (result(image_id=None), "unknown_image"),
        (result(image_id=True), "unknown_image"),
        (result(image_id=[10]), "unknown_image"),
        (result(category_id=1), "unknown_category"),
        (result(category_id=False), "unknown_category"),
        (without(result(), "score"), "missing_field"),
        (result(score=math.nan), "not_a_number"),
        (result(score="0.5"), "not_numeric"),
        (result(score=True), "not_numeric"),
        (result(bbox=[1, 2, 3]), "not_numeric"),
        (result(bbox=[1, 2, 3, "4"]), "not_numeric"),
        (result(bbox=[1, 2, 3, math.inf]), "not_a_number"),
        (result(bbox=[1, 2, -3, 4]), "box_degenerate"),
        (without(result(), "bbox"), "missing_field"),
        (result(segmentation={"size": [1, 1], "counts": "zz"}), "bad_segmentation"),
        (result(keypoints=[1, 2]), "bad_keypoints"),
        ("row", "not_an_object"),
        (None, "not_an_object"),
    ],
)
def test_what_does_not_fit_is_skipped_and_counted(imported: Callable[..., PredictionImport], row: Any, reason: str) -> None:
    job = imported([result(), row, result()])
    assert job.status == JobStatus.COMPLETED
    assert job.run.skipped == {reason: 1}
    assert (job.read_count, job.stored_count, job.rejected_count) == (3, 2, 1)
    assert job.run.prediction_count == PredictedObject.objects.filter(run=job.run).count() == 2


def test_skipped_rows_can_be_downloaded(imported: Callable[..., PredictionImport]) -> None:
    from django.core.files.storage import default_storage

    job = imported([result(), result(image_id=99)])
    with default_storage.open(job.rejects_file) as file:
        (line,) = [json.loads(line) for line in file]
    assert (line["reason"], line["row"]) == ("unknown_image", 2)


def test_boxes_masks_and_keypoints_mix_row_by_row(imported: Callable[..., PredictionImport]) -> None:
    polygon = [[0, 0, 10, 0, 10, 5, 0, 5]]
    rows = [
        result(),
        without(result(segmentation=polygon), "bbox"),
        without(result(keypoints=[1, 2, 2, 5, 8, 0]), "bbox"),
    ]
    job = imported(rows)
    plain, mask, pose = PredictedObject.objects.filter(run=job.run).order_by("pk")
    assert (plain.segmentation, plain.keypoints, plain.area) == (None, None, None)
    assert (mask.segmentation, mask.area, mask.width, mask.height) == (polygon, 50.0, 10.0, 5.0)
    assert (pose.keypoints, pose.x, pose.y, pose.width, pose.height) == ([1, 2, 2, 5, 8, 0], 1, 2, 4, 6)


def test_an_empty_list_is_a_run_that_found_nothing(imported: Callable[..., PredictionImport]) -> None:
    job = imported([])
    assert (job.status, job.run.prediction_count) == (JobStatus.COMPLETED, 0)


def test_importing_again_replaces_and_never_doubles(imported: Callable[..., PredictionImport], dataset: Dataset) -> None:
    other = imported([result()] * 4, name="other")
    imported([result()] * 3, name="mine")
    job = imported([result()] * 2, name="mine")
    dataset.refresh_from_db()
    assert list(PredictionRun.objects.order_by("name").values_list("name", "prediction_count")) == [("mine", 2), ("other", 4)]
    assert PredictedObject.objects.filter(run=other.run).count() == 4
    assert PredictedObject.objects.filter(run=job.run).count() == 2
    assert dataset.prediction_count == PredictedObject.objects.count() == 6


def test_ground_truth_is_untouched(imported: Callable[..., PredictionImport], dataset: Dataset) -> None:
    def truth() -> list[Any]:
        return list(Sample.objects.order_by("pk").values_list("pk", "external_id", "annotations__x", "annotations__area"))

    before = truth()
    imported([result()] * 3)
    assert truth() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b'[{"image_id": 10,', "cut short"),
        (b'{"a": 1}', "not a list"),
        (b'"text"', "not a list"),
        ("[]".encode("utf-16"), "encoding"),
        (b"<html>", "not valid JSON"),
        (b"[" * 5_000, "nested"),
        (json.dumps([result(image_id="x")] * 5).encode(), "None of the 5 rows fits"),
    ],
)
def test_a_bad_file_changes_nothing(
    imported: Callable[..., PredictionImport], dataset: Dataset, content: bytes, words: str
) -> None:
    good = imported([result()] * 3)
    job = imported(content)
    assert job.status == JobStatus.FAILED
    assert words in job.error
    assert list(PredictionRun.objects.values_list("pk", "prediction_count")) == [(good.run.pk, 3)]
    assert PredictedObject.objects.count() == 3


def test_a_file_cut_short_late_changes_nothing(imported: Callable[..., PredictionImport]) -> None:
    text = json.dumps([result()] * 20_000)
    job = imported(text[:-20].encode())
    assert (job.status, PredictedObject.objects.count()) == (JobStatus.FAILED, 0)
    assert "after row 19,999" in job.error


def test_a_whole_dictionary_names_its_way_in(imported: Callable[..., PredictionImport]) -> None:
    content = {
        "images": [{"id": 0, "file_name": "elsewhere/10.jpg"}, {"id": 1, "file_name": "0020.png"}],
        "categories": [{"id": 5, "name": "Dog"}, {"id": 6, "name": "cat"}],
        "annotations": [
            result(image_id=0, category_id=5),
            result(image_id=1, category_id=6),
            result(image_id=7, category_id=5),
        ],
    }
    refused = imported(content)
    assert "match_file_stem" in refused.error
    job = imported(content, fixes=["match_file_stem", "map_by_name"])
    found = PredictedObject.objects.filter(run=job.run).order_by("pk").values_list("sample__external_id", "category__name")
    assert list(found) == [("10", "dog"), ("0020", "cat")]
    assert job.run.skipped == {"unknown_image": 1}


def test_file_stems_and_names_are_matched_only_when_asked(imported: Callable[..., PredictionImport]) -> None:
    rows = [result(image_id="images/10.jpg", category_id="dog"), result()]
    assert imported(rows).run.prediction_count == 1
    assert imported(rows, fixes=["match_file_stem", "map_by_name"]).run.prediction_count == 2


def test_shifted_categories_are_noticed_and_mended(dataset: Dataset, imported: Callable[..., PredictionImport]) -> None:
    make_category(dataset, "emu", "1")
    rows = [result(category_id=1), result(category_id=2), result(category_id=8)]
    looked = imported(rows, dry_run=True)
    assert looked.status == JobStatus.DRAFT
    assert [fix["key"] for fix in looked.report["fixes"]] == ["shift_category_ids"]
    job = imported(rows, fixes=["shift_category_ids"])
    found = PredictedObject.objects.filter(run=job.run).order_by("pk").values_list("category__name", flat=True)
    assert list(found) == ["dog", "emu", "cat"]


def test_a_dry_run_stores_nothing(imported: Callable[..., PredictionImport]) -> None:
    job = imported([result(), result(image_id=99)], dry_run=True)
    assert job.report["predictions"] == {"read": 2, "stored": 1, "rejected": 1}
    assert not PredictionRun.objects.exists()


def test_two_splits_with_the_same_ids_need_a_name(imported: Callable[..., PredictionImport], dataset: Dataset) -> None:
    make_sample(dataset, split="train", external_id="10")
    assert "Name the split" in imported([result()]).error
    job = imported([result()], split="train")
    assert PredictedObject.objects.get(run=job.run).sample.split.name == "train"


def test_an_unknown_split_is_refused(imported: Callable[..., PredictionImport]) -> None:
    with pytest.raises(ImportRefused, match="no split"):
        imported([result()], split="nope")


def test_a_run_that_is_still_imported_is_not_replaced(dataset: Dataset, imported: Callable[..., PredictionImport]) -> None:
    """A run of another status may have the name: only what readers see is unique."""
    make_run(dataset, "prediction", prediction_count=0)
    imported([result()])
    assert PredictionRun.objects.completed().filter(name="prediction").count() == 1


def test_the_foreign_keys_stand_in_the_database(dataset: Dataset, imported: Callable[..., PredictionImport]) -> None:
    imported([result()])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'predictions_predictedobject'::regclass AND contype = 'f'"
        )
        assert cursor.fetchone()[0] == 3
        cursor.execute("SHOW session_replication_role")
        assert cursor.fetchone()[0] == "origin"


def noticed(job: PredictionImport) -> list[str]:
    """The fields whose ids look shifted by one."""
    found = [problem for problem in job.report["problems"] if problem["reason"] == "ids_shifted_by_one"]
    return [example["where"] for problem in found for example in problem["examples"]]


def test_image_ids_shifted_by_one_are_noticed_though_most_are_known(
    imported: Callable[..., PredictionImport], dataset: Dataset
) -> None:
    make_sample(dataset, external_id="11", file_name="images/11.jpg", width=100, height=80)
    job = imported([result(image_id=11), result(image_id=12)])
    assert job.status == JobStatus.COMPLETED and job.stored_count == 1
    assert noticed(job) == ["image_id"]


def test_an_unknown_id_that_no_shift_explains_is_no_shift(imported: Callable[..., PredictionImport], dataset: Dataset) -> None:
    make_category(dataset, "bird", "8")
    job = imported([result(category_id=0), result(category_id=7), result(category_id=9)])
    assert job.stored_count == 2 and noticed(job) == []
