from pathlib import Path
from typing import Any

import pytest
import yaml

from datasets.importers.base import AnnotationRecord, CategoryRecord, SampleRecord, Source
from datasets.importers.problems import ImportRefused, ProblemLog
from datasets.importers.yolo import YoloImporter
from tests.coco_files import picture

NAMES = {0: "cat", 1: "dog"}


def dataset(root: Path, lines: str = "0 0.5 0.5 0.2 0.25\n", **data: Any) -> Path:
    """One image of 100 x 80 with these labels, as Ultralytics lays it out."""
    picture(root / "images" / "val" / "1.jpg")
    put(root / "labels" / "val" / "1.txt", lines)
    put(root / "data.yaml", yaml.safe_dump({"val": "images/val", "names": NAMES} | data))
    return root


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(path: Path, **source: Any) -> tuple[list[Any], ProblemLog]:
    problems = ProblemLog()
    return list(YoloImporter().read(Source(path, **source), problems)), problems


def only(records: list[Any], kind: type) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def test_boxes_become_pixels(tmp_path: Path) -> None:
    records, _ = read(dataset(tmp_path))
    (record,) = only(records, AnnotationRecord)
    assert (record.sample_id, record.category_id, record.bbox) == ("1", "0", (40, 30, 20, 20))
    assert (record.area, record.area_rule) == (400, "box")


def test_polygons_become_masks(tmp_path: Path) -> None:
    records, _ = read(dataset(tmp_path, "1 0.1 0.1 0.3 0.1 0.3 0.35"))
    (record,) = only(records, AnnotationRecord)
    assert record.segmentation == [pytest.approx([10, 8, 30, 8, 30, 28])]
    assert record.bbox == pytest.approx((10, 8, 20, 20))
    assert (record.area, record.area_rule) == (pytest.approx(200), "mask")


@pytest.mark.parametrize(("dimensions", "points"), [(3, "0.1 0.2 2 0 0 0"), (2, "0.1 0.2 0 0")])
def test_poses_with_and_without_visibility(tmp_path: Path, dimensions: int, points: str) -> None:
    records, _ = read(dataset(tmp_path, f"0 0.5 0.5 0.2 0.25 {points}", kpt_shape=[2, dimensions], flip_idx=[1, 0]))
    (record,) = only(records, AnnotationRecord)
    assert record.keypoints == [10, 16, 2, 0, 0, 0]
    assert only(records, CategoryRecord)[0].keypoint_names == ["keypoint 1", "keypoint 2"]


def test_names_of_keypoints_are_kept(tmp_path: Path) -> None:
    path = dataset(tmp_path, "0 0.5 0.5 0.2 0.25 0 0 0 0", kpt_shape=[2, 2], kpt_names={0: ["left", "right"]})
    assert only(read(path)[0], CategoryRecord)[0].keypoint_names == ["left", "right"]


@pytest.mark.parametrize("names", [["cat", "dog"], {0: "cat", 1: "dog"}, {"0": "cat", "1": "dog"}])
def test_names_are_a_list_or_a_mapping(tmp_path: Path, names: Any) -> None:
    records, _ = read(dataset(tmp_path, names=names))
    assert [(record.external_id, record.name) for record in only(records, CategoryRecord)] == [("0", "cat"), ("1", "dog")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2", "bad_line"),
        ("0 0.5 0.5 0.2 0.2 0.9", "bad_line"),
        ("0 0.5 0.5 0.2 0.2 0.9 0.1 0.1", "bad_line"),
        ("2 0.5 0.5 0.2 0.2", "class_out_of_range"),
        ("-1 0.5 0.5 0.2 0.2", "class_out_of_range"),
        ("0.5 0.5 0.5 0.2 0.2", "class_out_of_range"),
        ("0 50 40 20 20", "out_of_range"),
        ("0 0.5 0.5 0 0.2", "box_degenerate"),
        ("0 0.1 0.1 0.2 0.1 0.3 0.1", "box_degenerate"),
        ("0 0.5 nan 0.2 0.2", "not_a_number"),
        ("0 0.5 inf 0.2 0.2", "not_a_number"),
        ("0 0.5 half 0.2 0.2", "not_numeric"),
        ("cat 0.5 0.5 0.2 0.2", "not_numeric"),
        ("\0\0\0", "not_numeric"),
    ],
)
def test_a_line_that_does_not_fit_is_rejected_with_its_place(tmp_path: Path, line: str, reason: str) -> None:
    records, problems = read(dataset(tmp_path, f"\n{line}\n1 0.5 0.5 0.1 0.1\n"))
    assert problems.rejected_by_reason() == {reason: 1}
    assert (problems.found()[0].examples[0]["row"], problems.found()[0].examples[0]["where"]) == (2, "labels/val/1.txt")
    assert len(only(records, AnnotationRecord)) == 1


def test_a_pose_of_another_shape_is_no_polygon(tmp_path: Path) -> None:
    _, problems = read(dataset(tmp_path, "0 0.5 0.5 0.2 0.25 0.1 0.1 0.2 0.2", kpt_shape=[5, 2]))
    assert problems.rejected_by_reason() == {"bad_line": 1}


def test_an_image_without_labels_is_kept_and_empty(tmp_path: Path) -> None:
    picture(dataset(tmp_path) / "images" / "val" / "2.jpg")
    records, problems = read(tmp_path)
    assert [record.external_id for record in only(records, SampleRecord)] == ["1", "2"]
    assert not problems.found()


def test_images_without_any_labels_are_refused(tmp_path: Path) -> None:
    (dataset(tmp_path) / "labels" / "val" / "1.txt").unlink()
    with pytest.raises(ImportRefused, match="None of the images") as refused:
        read(tmp_path)
    assert "labels/a.txt" in refused.value.remedy


def test_ids_are_stems_where_these_are_unique(tmp_path: Path) -> None:
    dataset(tmp_path)
    picture(tmp_path / "images" / "val" / "deep" / "1.jpg")
    picture(tmp_path / "images" / "val" / "deep" / "1.png")
    picture(tmp_path / "images" / "val" / "deep" / "2.jpg")
    ids = {record.external_id for record in only(read(tmp_path)[0], SampleRecord)}
    assert ids == {"images/val/1", "images/val/deep/1.jpg", "images/val/deep/1.png", "2"}


def test_a_rotated_image_has_the_upright_frame(tmp_path: Path) -> None:
    picture(dataset(tmp_path) / "images" / "val" / "1.jpg", (100, 80), orientation=6)
    records, problems = read(tmp_path)
    assert [(record.width, record.height) for record in only(records, SampleRecord)] == [(80, 100)]
    assert only(records, AnnotationRecord)[0].bbox == pytest.approx((32, 37.5, 16, 25))
    assert [problem.reason for problem in problems.found()] == ["exif_rotated"]


def test_what_is_no_image_is_rejected(tmp_path: Path) -> None:
    put(dataset(tmp_path) / "images" / "val" / "2.jpg", "<svg/>")
    records, problems = read(tmp_path)
    assert problems.rejected_by_reason() == {"not_an_image": 1}
    assert problems.read_count("samples", len(only(records, SampleRecord))) == 2


@pytest.mark.parametrize(
    "entry", ["images/val", "./images/val/", "../images/val", ["images/val"], "/elsewhere/images/val", "val.txt"]
)
def test_entries_are_folders_lists_and_files(tmp_path: Path, entry: Any) -> None:
    put(dataset(tmp_path, val=entry) / "val.txt", "./images/val/1.jpg\n")
    if entry == "/elsewhere/images/val":
        with pytest.raises(ImportRefused, match="not there"):
            read(tmp_path)
    else:
        assert len(only(read(tmp_path)[0], AnnotationRecord)) == 1


def test_an_image_that_a_list_names_and_that_is_missing_is_counted(tmp_path: Path) -> None:
    put(dataset(tmp_path, val="val.txt") / "val.txt", "images/val/1.jpg\nimages/val/9.jpg\n../../etc/passwd\n")
    _, problems = read(tmp_path)
    assert problems.rejected_by_reason() == {"missing_image_file": 2}


def test_the_split_picks_its_entry(tmp_path: Path) -> None:
    dataset(tmp_path, train="images/train", test="images/test")
    picture(tmp_path / "images" / "train" / "t.jpg")
    put(tmp_path / "labels" / "train" / "t.txt", "1 0.5 0.5 0.1 0.1")
    assert [record.external_id for record in only(read(tmp_path, split="train")[0], SampleRecord)] == ["t"]


def test_a_split_without_images_names_those_that_have_some(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="not there") as refused:
        read(dataset(tmp_path, test="images/test"), split="test")
    assert "val" in refused.value.remedy


def test_a_split_that_is_not_named_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no split 'extra'") as refused:
        read(dataset(tmp_path, train="images/val"), split="extra")
    assert "train, val" in refused.value.where


@pytest.mark.parametrize("path", ["/home/somebody/datasets/x", "../../x", "missing"])
def test_a_path_of_another_machine_does_not_matter(tmp_path: Path, path: str) -> None:
    assert len(only(read(dataset(tmp_path / "set", path=path))[0], SampleRecord)) == 1


def test_a_path_below_counts(tmp_path: Path) -> None:
    dataset(tmp_path / "deep")
    put(tmp_path / "data.yaml", yaml.safe_dump({"path": "deep", "val": "images/val", "names": NAMES}))
    assert len(only(read(tmp_path)[0], AnnotationRecord)) == 1


def test_images_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    dataset(tmp_path / "secret")
    put(tmp_path / "set" / "data.yaml", yaml.safe_dump({"path": "../secret", "val": "../secret/images/val", "names": NAMES}))
    with pytest.raises(ImportRefused, match="not there"):
        read(tmp_path / "set")


def test_labels_behind_a_link_that_leads_out_are_not_read(tmp_path: Path) -> None:
    dataset(tmp_path / "set")
    picture(tmp_path / "set" / "images" / "val" / "2.jpg")
    put(tmp_path / "secret.txt", "0 0.5 0.5 0.1 0.1")
    (tmp_path / "set" / "labels" / "val" / "2.txt").symlink_to(tmp_path / "secret.txt")
    records, problems = read(tmp_path / "set")
    assert len(only(records, AnnotationRecord)) == 1
    assert [problem.reason for problem in problems.found()] == ["unsafe_path"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [a\nval: x", "cannot be read"),
        ("- a\n- b", "no names"),
        ("val: images/val", "names no classes"),
        ("names: cat\nval: images/val", "names no classes"),
        ("names: {cat: 0}\nval: images/val", "names no classes"),
        ("names: []\nval: images/val", "names no classes"),
        ("names: {" + "9" * 5000 + ": a}\nval: images/val", "cannot be read"),
        ("a: &a [x]\nnames: [*a, *a]\nval: images/val", "aliases"),
        ("names: !!python/object/apply:os.system ['true']", "cannot be read"),
        ("[" * 5_000, "cannot be read"),
        ("names: [a]\nval: 5", "no path"),
        ("names: [a]\nkpt_shape: 17\nval: images/val", "kpt_shape"),
        ("names: [a]\ndate: 2001-99-99\nval: images/val", "cannot be read"),
        ("#" * 2_000_000, "larger than 1 MB"),
    ],
)
def test_a_yaml_that_does_not_fit_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    put(dataset(tmp_path) / "data.yaml", text)
    with pytest.raises(ImportRefused, match=words) as refused:
        read(tmp_path)
    assert refused.value.remedy


def test_names_that_a_database_cannot_hold_are_mended(tmp_path: Path) -> None:
    put(dataset(tmp_path) / "data.yaml", 'names: ["a\\0b", "\\ud800"]\nval: images/val')
    assert [record.name for record in only(read(tmp_path)[0], CategoryRecord)] == ["ab", "\\ud800"]


def darknet(root: Path) -> Path:
    put(root / "obj.data", "classes = 2\nnames = data/obj.names\ntrain = data/train.txt\nbackup = backup/\n")
    put(root / "obj.names", "cat\ndog\n")
    put(root / "train.txt", "data/obj_train_data/1.jpg\n")
    put(root / "obj_train_data" / "1.txt", "1 0.5 0.5 0.2 0.25\n")
    return root


def test_darknets_layout_is_read(tmp_path: Path) -> None:
    picture(darknet(tmp_path) / "obj_train_data" / "1.jpg")
    records, _ = read(tmp_path)
    assert [record.name for record in only(records, CategoryRecord)] == ["cat", "dog"]
    assert only(records, AnnotationRecord)[0].category_id == "1"


def test_darknets_images_may_lie_elsewhere(tmp_path: Path) -> None:
    picture(tmp_path / "pictures" / "1.jpg")
    records, _ = read(darknet(tmp_path / "set"), images=tmp_path / "pictures")
    assert only(records, SampleRecord)[0].path == tmp_path / "pictures" / "1.jpg"
    assert len(only(records, AnnotationRecord)) == 1


def test_darknets_labels_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no images") as refused:
        read(darknet(tmp_path))
    assert "--images" in refused.value.remedy


@pytest.mark.parametrize("names", ["obj.names", "classes.txt"])
def test_a_list_of_names_stands_in_for_a_yaml(tmp_path: Path, names: str) -> None:
    (dataset(tmp_path) / "data.yaml").unlink()
    put(tmp_path / names, "cat\ndog\n")
    assert len(only(read(tmp_path, split="val")[0], AnnotationRecord)) == 1


def test_labels_without_names_are_refused(tmp_path: Path) -> None:
    (dataset(tmp_path) / "data.yaml").unlink()
    with pytest.raises(ImportRefused, match="names are unknown") as refused:
        read(tmp_path)
    assert "data.yaml" in refused.value.remedy


def test_a_folder_without_labels_is_told_for_what_it_is(tmp_path: Path) -> None:
    put(tmp_path / "annotations" / "1.xml", "<annotation/>")
    with pytest.raises(ImportRefused, match="Pascal VOC"):
        read(tmp_path)
