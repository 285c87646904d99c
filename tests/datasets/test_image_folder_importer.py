from pathlib import Path
from typing import Any

import pytest

from datasets.importers.base import AnnotationRecord, CategoryRecord, SampleRecord, Source
from datasets.importers.image_folder import ImageFolderImporter
from datasets.importers.problems import ImportRefused, ProblemLog
from tests.coco_files import picture


def read(path: Path, split: str | None = "val") -> tuple[list[Any], ProblemLog]:
    problems = ProblemLog()
    return list(ImageFolderImporter().read(Source(path, split=split), problems)), problems


def only(records: list[Any], kind: type) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def test_the_folders_name_is_the_class(tmp_path: Path) -> None:
    for name in ("rain/b.jpg", "cloudy/deep/a.jpg", "rain/a.jpg"):
        picture(tmp_path / name)
    records, problems = read(tmp_path)
    assert [(record.external_id, record.name) for record in only(records, CategoryRecord)] == [("0", "cloudy"), ("1", "rain")]
    found = [(record.sample_id, record.category_id, record.bbox) for record in only(records, AnnotationRecord)]
    assert found == [("cloudy/deep/a.jpg", "0", None), ("rain/a.jpg", "1", None), ("rain/b.jpg", "1", None)]
    assert not problems.found()


def test_every_class_comes_before_its_images(tmp_path: Path) -> None:
    picture(tmp_path / "rain" / "a.jpg")
    assert [type(record) for record in read(tmp_path)[0]] == [CategoryRecord, SampleRecord, AnnotationRecord]


@pytest.mark.parametrize(
    ("folder", "split"), [("val", "val"), ("valid", "val"), ("validation", "val"), ("Val", "val"), ("test", "test")]
)
def test_a_split_has_its_folder(tmp_path: Path, folder: str, split: str) -> None:
    picture(tmp_path / folder / "rain" / "a.jpg")
    picture(tmp_path / "train" / "rain" / "t.jpg")
    assert [record.external_id for record in only(read(tmp_path, split)[0], SampleRecord)] == ["rain/a.jpg"]


def test_a_class_has_one_id_in_all_splits(tmp_path: Path) -> None:
    for name in ("train/cloudy/a.jpg", "train/rain/a.jpg", "val/rain/a.jpg"):
        picture(tmp_path / name)
    assert only(read(tmp_path)[0], AnnotationRecord)[0].category_id == "1"
    assert [record.name for record in only(read(tmp_path)[0], CategoryRecord)] == ["cloudy", "rain"]


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "rain" / "a.jpg")
    with pytest.raises(ImportRefused, match="no split 'val'") as refused:
        read(tmp_path)
    assert "train" in refused.value.where


def test_what_is_no_image_is_rejected(tmp_path: Path) -> None:
    picture(tmp_path / "rain" / "a.jpg")
    (tmp_path / "rain" / "b.jpg").write_text("<html>")
    (tmp_path / "rain" / "notes.txt").write_text("left alone")
    records, problems = read(tmp_path)
    assert problems.rejected_by_reason() == {"not_an_image": 1}
    assert len(only(records, SampleRecord)) == 1


def test_an_image_in_no_class_is_rejected(tmp_path: Path) -> None:
    picture(tmp_path / "rain" / "a.jpg")
    picture(tmp_path / "stray.jpg")
    assert read(tmp_path)[1].rejected_by_reason() == {"no_class": 1}


def test_hidden_folders_and_links_are_no_classes(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "rain" / "a.jpg")
    picture(tmp_path / "set" / ".cache" / "a.jpg")
    picture(tmp_path / "secret" / "a.jpg")
    (tmp_path / "set" / "way-out").symlink_to(tmp_path / "secret")
    (tmp_path / "set" / "rain" / "b.jpg").symlink_to(tmp_path / "secret" / "a.jpg")
    records, _ = read(tmp_path / "set")
    assert [record.external_id for record in only(records, SampleRecord)] == ["rain/a.jpg"]
    assert len(only(records, CategoryRecord)) == 1


def test_a_rotated_image_is_upright(tmp_path: Path) -> None:
    picture(tmp_path / "rain" / "a.jpg", (100, 80), orientation=8)
    (sample,) = only(read(tmp_path)[0], SampleRecord)
    assert (sample.width, sample.height, sample.orientation, sample.exif_transposed) == (80, 100, 8, True)


def test_a_name_that_is_no_utf8_can_be_stored(tmp_path: Path) -> None:
    picture(tmp_path / "rain" / "a.jpg").rename(tmp_path / "rain" / "\udce9.jpg")
    (sample,) = only(read(tmp_path)[0], SampleRecord)
    assert sample.external_id == "rain/\\udce9.jpg"
    assert sample.path is not None
    assert sample.path.exists()


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    with pytest.raises(ImportRefused, match="no folders with images") as refused:
        read(tmp_path)
    assert "one folder per class" in refused.value.remedy


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="not a folder"):
        read(picture(tmp_path / "a.jpg"))
