import io
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from datasets.importers.base import AnnotationRecord, CategoryRecord, SampleRecord, Source
from datasets.importers.coco import CocoImporter, annotations_file
from datasets.importers.problems import ImportRefused, ProblemLog
from tests.coco_files import annotation, coco, picture, without, write


def read(
    tmp_path: Path, content: Any, *, images: Path | None = None, fixes: Iterable[str] = ()
) -> tuple[list[Any], ProblemLog]:
    problems = ProblemLog()
    source = Source(write(tmp_path / "truth.json", content), images=images, fixes=frozenset(fixes))
    return list(CocoImporter().read(source, problems)), problems


def only(records: list[Any], kind: type) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def reasons(problems: ProblemLog) -> dict[str, int]:
    return {problem.reason: problem.count for problem in problems.found()}


def test_ids_stay_verbatim_as_text(tmp_path: Path) -> None:
    images = [{"id": id_, "file_name": f"{n}.jpg", "width": 5, "height": 5} for n, id_ in enumerate([0, "007", 2018 * 10**15])]
    records, _ = read(tmp_path, coco(images=0) | {"images": images})
    assert [record.external_id for record in only(records, SampleRecord)] == ["0", "007", "2018000000000000000"]


def test_numbers_and_text_name_the_same_image(tmp_path: Path) -> None:
    records, problems = read(tmp_path, coco() | {"annotations": [annotation(image_id="10"), annotation(image_id=20.0)]})
    assert [record.sample_id for record in only(records, AnnotationRecord)] == ["10", "20"]
    assert "unknown_image" not in reasons(problems)


def test_a_zero_padded_id_is_another_id(tmp_path: Path) -> None:
    _, problems = read(tmp_path, coco() | {"annotations": [annotation(image_id="0010")]})
    assert reasons(problems)["unknown_image"] == 1


def test_annotations_may_stand_before_images_and_categories(tmp_path: Path) -> None:
    content = coco()
    turned = {key: content[key] for key in ("annotations", "images", "categories")}
    records, problems = read(tmp_path, turned)
    assert len(only(records, AnnotationRecord)) == 2
    kinds = [type(record) for record in records]
    assert kinds.index(CategoryRecord) < kinds.index(SampleRecord) < kinds.index(AnnotationRecord)
    assert problems.rejected_count("annotations") == 0


def test_the_files_area_is_kept(tmp_path: Path) -> None:
    records, _ = read(tmp_path, coco(images=1))
    assert [(record.area, record.area_rule) for record in only(records, AnnotationRecord)] == [(600.5, "file")]


def test_a_missing_area_comes_from_the_mask(tmp_path: Path) -> None:
    row = without(annotation(segmentation=[[0, 0, 10, 0, 10, 10, 0, 10]]), "area")
    records, _ = read(tmp_path, coco() | {"annotations": [row]})
    assert [(record.area, record.area_rule) for record in only(records, AnnotationRecord)] == [(100.0, "mask")]


def test_else_from_the_box(tmp_path: Path) -> None:
    records, _ = read(tmp_path, coco() | {"annotations": [without(annotation(), "area")]})
    assert [(record.area, record.area_rule) for record in only(records, AnnotationRecord)] == [(1200.0, "box")]


def rle(columns: int = 100, rows: int = 80) -> tuple[dict[str, Any], int]:
    pixels = np.zeros((rows, columns), dtype=np.uint8, order="F")
    pixels[5:15, 7:20] = 1
    encoded = coco_mask.encode(pixels)
    return {"size": [rows, columns], "counts": encoded["counts"].decode()}, int(pixels.sum())


def test_a_crowd_with_uncompressed_runs(tmp_path: Path) -> None:
    packed, area = rle()
    runs = [7 * 80 + 5] + [10, 70] * 12 + [10, 80 * 80 + 65]
    row = without(annotation(iscrowd=1, segmentation={"size": [80, 100], "counts": runs}), "bbox", "area")
    (record,) = only(read(tmp_path, coco() | {"annotations": [row]})[0], AnnotationRecord)
    assert (record.is_crowd, record.segmentation, record.area) == (True, packed, area)
    assert record.bbox == (7, 5, 13, 10)


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": [100, 80], "counts": rle()[0]["counts"]}, "size"),
        ({"size": [80, 100], "counts": "5P"}, "middle"),
        ({"size": [80, 100], "counts": [1, 2]}, "add up"),
        ({"size": [80, 100], "counts": "o" * 4000}, "middle"),
        ({"size": [80, 100], "counts": "o" * 9 + "0"}, "run-length code"),
        ({"size": [80, 100], "counts": "5ü"}, "run-length code"),
        ({"size": [80_000, 100_000], "counts": [8 * 10**9]}, "megapixels"),
        ([1, 2, 3, 4, 5, 6], "flat"),
        ([[1, 2, 3, 4]], "six"),
        ([[1, 2, 3, 4, 5, None]], "finite"),
        ("polygon", "str"),
    ],
)
def test_a_bad_mask_is_refused_in_words(tmp_path: Path, segmentation: Any, words: str) -> None:
    _, problems = read(tmp_path, coco() | {"annotations": [annotation(segmentation=segmentation)]})
    (problem,) = [found for found in problems.found() if found.reason == "bad_segmentation"]
    assert words in problem.examples[0]["detail"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (annotation(image_id=99), "unknown_image"),
        (annotation(image_id=True), "unknown_image"),
        (annotation(category_id=1), "unknown_category"),
        (without(annotation(), "category_id"), "missing_field"),
        (without(annotation(), "image_id"), "missing_field"),
        (annotation(bbox=[1, 2, "3", 4]), "not_numeric"),
        (annotation(bbox=[1, 2, True, 4]), "not_numeric"),
        (annotation(bbox=[1, 2, 3]), "not_numeric"),
        (annotation(bbox=[1, 2, 0, 4]), "box_degenerate"),
        (annotation(bbox=[1, 2, -3, 4]), "box_degenerate"),
        (annotation(bbox=[200, 2, 3, 4]), "box_outside_image"),
        (annotation(keypoints=[1, 2]), "bad_keypoints"),
        ("text", "not_an_object"),
    ],
)
def test_a_row_that_does_not_fit_is_rejected_by_reason(tmp_path: Path, row: Any, reason: str) -> None:
    records, problems = read(tmp_path, coco() | {"annotations": [row, annotation(id=2)]})
    assert problems.rejected_by_reason() == {reason: 1}
    assert len(only(records, AnnotationRecord)) == 1


def test_nan_rejects_its_row_alone(tmp_path: Path) -> None:
    text = json.dumps(
        coco() | {"annotations": [annotation(), annotation(id=2, bbox=[1.0, float("nan"), 3, 4]), annotation(id=3)]}
    )
    records, problems = read(tmp_path, text)
    assert problems.rejected_by_reason() == {"not_a_number": 1}
    assert len(only(records, AnnotationRecord)) == 2


def test_the_word_nan_within_text_stays(tmp_path: Path) -> None:
    text = json.dumps(
        coco() | {"info": {"by": "NaN, Infinity"}, "annotations": [annotation(score=float("inf"), area=float("nan"))]}
    )
    _, problems = read(tmp_path, text)
    assert problems.rejected_by_reason() == {"not_a_number": 1}


def test_captions_are_left_out_with_a_word(tmp_path: Path) -> None:
    row = {"id": 1, "image_id": 10, "caption": "A cat."}
    records, problems = read(tmp_path, coco() | {"annotations": [row]})
    assert reasons(problems)["captions_ignored"] == 1
    assert not only(records, AnnotationRecord)


def test_boxes_past_the_edge_are_kept_and_a_fix_is_offered(tmp_path: Path) -> None:
    content = coco() | {"annotations": [annotation(bbox=[-10, 20, 30, 40])]}
    records, problems = read(tmp_path, content)
    assert only(records, AnnotationRecord)[0].bbox == (-10, 20, 30, 40)
    assert "clip_boxes" in problems.offered_fixes()
    records, _ = read(tmp_path, content, fixes=["clip_boxes"])
    assert only(records, AnnotationRecord)[0].bbox == (0, 20, 20, 40)


def test_corners_are_noticed_and_mended(tmp_path: Path) -> None:
    content = coco() | {"annotations": [annotation(id=n, bbox=[50, 40, 90, 70]) for n in range(9)]}
    _, problems = read(tmp_path, content)
    assert "convert_xyxy" in problems.offered_fixes()
    records, _ = read(tmp_path, content, fixes=["convert_xyxy"])
    assert only(records, AnnotationRecord)[0].bbox == (50, 40, 40, 30)


def test_fractions_are_noticed_and_mended(tmp_path: Path) -> None:
    content = coco() | {"annotations": [annotation(bbox=[0.1, 0.5, 0.2, 0.25])]}
    _, problems = read(tmp_path, content)
    assert "scale_fractions" in problems.offered_fixes()
    records, _ = read(tmp_path, content, fixes=["scale_fractions"])
    assert only(records, AnnotationRecord)[0].bbox == (10, 40, 20, 20)


def test_large_boxes_that_reach_past_the_edge_are_not_taken_for_corners(tmp_path: Path) -> None:
    boxes = [[5, 5, 98, 70], *([60, 50, 20, 20] for _ in range(9))]
    _, problems = read(tmp_path, coco() | {"annotations": [annotation(id=n, bbox=box) for n, box in enumerate(boxes)]})
    assert problems.offered_fixes() == {"clip_boxes"}


def test_category_ids_shifted_by_one_are_noticed_and_mended(tmp_path: Path) -> None:
    content = coco() | {
        "categories": [{"id": n, "name": f"c{n}"} for n in range(1, 4)],
        "annotations": [annotation(id=n, category_id=n) for n in range(3)],
    }
    _, problems = read(tmp_path, content)
    assert "shift_category_ids" in problems.offered_fixes()
    records, problems = read(tmp_path, content, fixes=["shift_category_ids"])
    assert [record.category_id for record in only(records, AnnotationRecord)] == ["1", "2", "3"]
    assert problems.rejected_by_reason() == {}


def test_image_ids_shifted_by_one_are_noticed_and_mended(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 80} for n in range(3)]
    content = coco() | {"images": images, "annotations": [annotation(id=n, image_id=n) for n in range(1, 4)]}
    _, problems = read(tmp_path, content)
    assert "shift_image_ids" in problems.offered_fixes()
    records, _ = read(tmp_path, content, fixes=["shift_image_ids"])
    assert [record.sample_id for record in only(records, AnnotationRecord)] == ["0", "1", "2"]


def test_no_shift_is_offered_where_it_would_lose_others(tmp_path: Path) -> None:
    content = coco() | {
        "categories": [{"id": n, "name": f"c{n}"} for n in range(1, 4)],
        "annotations": [annotation(id=n, category_id=n) for n in range(4)],
    }
    assert "shift_category_ids" not in read(tmp_path, content)[1].offered_fixes()
    with pytest.raises(ImportRefused, match="No shift"):
        read(tmp_path, content, fixes=["shift_category_ids"])


def test_names_in_place_of_category_ids_are_noticed_and_mended(tmp_path: Path) -> None:
    content = coco() | {"annotations": [annotation(category_id="dog")]}
    assert "map_by_name" in read(tmp_path, content)[1].offered_fixes()
    records, _ = read(tmp_path, content, fixes=["map_by_name"])
    assert only(records, AnnotationRecord)[0].category_id == "0"


@pytest.mark.parametrize("image_id", ["001", "001.jpg"])
def test_file_names_in_place_of_image_ids_are_noticed_and_mended(tmp_path: Path, image_id: str) -> None:
    content = coco() | {"annotations": [annotation(image_id=image_id)]}
    assert "match_file_stem" in read(tmp_path, content)[1].offered_fixes()
    records, _ = read(tmp_path, content, fixes=["match_file_stem"])
    assert only(records, AnnotationRecord)[0].sample_id == "10"


def test_scores_give_predictions_away(tmp_path: Path) -> None:
    _, problems = read(tmp_path, coco() | {"annotations": [annotation(score=0.5)]})
    assert reasons(problems)["looks_like_predictions"] == 1


def test_captions_with_a_category_are_captions(tmp_path: Path) -> None:
    row = {"id": 1, "image_id": 10, "category_id": 0, "caption": "A cat."}
    _, problems = read(tmp_path, coco() | {"categories": [], "annotations": [row]})
    assert problems.rejected_by_reason() == {"captions_ignored": 1}


def test_panoptic_segments_are_left_out_with_a_word(tmp_path: Path) -> None:
    row = {"image_id": 10, "file_name": "1.png", "segments_info": [{"id": 1, "category_id": 7}]}
    _, problems = read(tmp_path, coco() | {"annotations": [row]})
    assert problems.rejected_by_reason() == {"panoptic_ignored": 1}


def test_counts_in_are_stored_and_rejected(tmp_path: Path) -> None:
    rows = [annotation(), annotation(id=2, image_id=5), {"id": 3, "image_id": 10, "caption": "x"}, None, annotation(id=4)]
    records, problems = read(tmp_path, coco() | {"annotations": rows})
    assert problems.read_count("annotations", len(only(records, AnnotationRecord))) == len(rows)


def test_every_rejected_row_is_written_down(tmp_path: Path) -> None:
    kept = io.StringIO()
    problems = ProblemLog(kept)
    rows = [annotation(id=n, image_id=5) for n in range(50)]
    list(CocoImporter().read(Source(write(tmp_path / "truth.json", coco() | {"annotations": rows})), problems))
    lines = [json.loads(line) for line in kept.getvalue().splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 51))
    assert len(problems.found()[0].examples) == 20


@pytest.mark.parametrize("segmentation", [[], [[]], None])
def test_an_empty_list_of_polygons_is_no_mask(tmp_path: Path, segmentation: Any) -> None:
    records, problems = read(tmp_path, coco() | {"annotations": [annotation(segmentation=segmentation)]})
    assert only(records, AnnotationRecord)[0].segmentation is None
    assert problems.rejected_by_reason() == {}


@pytest.mark.parametrize("segmentation", [{"size": [80, 100], "counts": [8000]}, [[1, 1, 1, 1, 1, 1]]])
def test_an_empty_mask_alone_is_refused(tmp_path: Path, segmentation: Any) -> None:
    row = without(annotation(segmentation=segmentation), "bbox")
    _, problems = read(tmp_path, coco() | {"annotations": [row]})
    assert problems.rejected_by_reason() == {"bad_segmentation": 1}


@pytest.mark.parametrize("number", ["1e400", "1" * 400, "-1e999", "NaN"])
def test_a_number_too_large_rejects_its_row_alone(tmp_path: Path, number: str) -> None:
    text = json.dumps(coco() | {"annotations": [annotation(), annotation(id=2, area=0.125)]}).replace("0.125", number)
    records, problems = read(tmp_path, text)
    assert problems.rejected_by_reason() == {"not_a_number": 1}
    assert len(only(records, AnnotationRecord)) == 1


def test_names_that_a_database_cannot_hold_are_refused(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": name, "width": 5, "height": 5} for n, name in enumerate(["a\0b", "x" * 2_000, "fine"])]
    records, problems = read(tmp_path, coco() | {"images": images, "annotations": []})
    assert reasons(problems) == {"name_too_long": 2}
    assert only(records, SampleRecord)[0].file_name == "fine"


@pytest.mark.parametrize("id_", [None, "", True, [1], {"a": 1}])
def test_an_image_needs_an_id(tmp_path: Path, id_: Any) -> None:
    images = [{"id": id_, "file_name": "a.jpg", "width": 5, "height": 5}, *coco()["images"]]
    _, problems = read(tmp_path, coco() | {"images": images})
    assert problems.rejected_count("samples") == 1


def test_annotations_may_speak_of_no_category_at_all(tmp_path: Path) -> None:
    records, problems = read(tmp_path, without(coco(), "categories"))
    assert len(only(records, SampleRecord)) == 2
    assert problems.rejected_by_reason() == {"unknown_category": 2}


def test_a_category_twice_is_rejected(tmp_path: Path) -> None:
    content = coco() | {"categories": [{"id": 7, "name": "cat"}, {"id": "7", "name": "dog"}]}
    records, problems = read(tmp_path, content)
    assert [record.name for record in only(records, CategoryRecord)] == ["cat"]
    assert reasons(problems) == {"duplicate_id": 1}


def test_a_file_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no images"):
        read(tmp_path, {"info": {}, "annotations": []})


def test_more_arrays_than_three_do_not_matter(tmp_path: Path) -> None:
    nested = {"videos": [{"images": [{"id": 1}]}], "licenses": [{"id": 1}], "info": {"annotations": [{"id": 5}]}}
    records, problems = read(tmp_path, nested | coco())
    assert len(records) == 6
    assert not problems.found()


def test_a_skeleton_counted_from_0_is_counted_from_1(tmp_path: Path) -> None:
    category = {"id": 7, "name": "hand", "keypoints": ["a", "b", "c"], "skeleton": [[0, 1], [1, 2], [2, 9], ["a", 1]]}
    records, _ = read(tmp_path, coco() | {"categories": [category], "annotations": []})
    assert only(records, CategoryRecord)[0].skeleton == [[1, 2], [2, 3]]


@pytest.mark.parametrize(
    ("split", "task", "expected"), [("val", "detection", "instances_val"), ("val", "pose", "person_keypoints_val")]
)
def test_in_a_folder_the_split_and_the_task_name_the_file(tmp_path: Path, split: str, task: str, expected: str) -> None:
    for kind in ("instances", "person_keypoints", "captions"):
        for part in ("train", "val"):
            write(tmp_path / f"{kind}_{part}.json", coco())
    write(tmp_path / "results.json", [])
    assert annotations_file(Source(tmp_path, split=split, task_type=task)).stem == expected


def test_a_folder_with_several_files_names_them(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write(tmp_path / name, coco())
    with pytest.raises(ImportRefused, match="2 annotation files") as refused:
        annotations_file(Source(tmp_path, split="val"))
    assert "a.json, b.json" in refused.value.where


def test_a_link_to_annotations_elsewhere_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "secret.json", coco())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "truth.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ImportRefused, match="nothing that Touchstone knows"):
        annotations_file(Source(tmp_path / "set"))


def test_progress_grows_to_the_end_over_all_passes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    source = Source(write(tmp_path / "truth.json", coco()), progress=lambda done, total: told.append((done, total)))
    list(CocoImporter().read(source, ProblemLog()))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


def test_memory_does_not_grow_with_the_annotations(tmp_path: Path) -> None:
    """What is kept of an annotation is its id, for duplicates."""
    rows = ",".join(json.dumps(annotation(id=n, caption_of_some_length="x" * 200)) for n in range(60_000))
    path = write(tmp_path / "truth.json", json.dumps(without(coco(), "annotations"))[:-1] + f', "annotations": [{rows}]}}')
    del rows
    tracemalloc.start()
    for _ in CocoImporter().read(Source(path), ProblemLog()):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000 < path.stat().st_size


def test_a_duplicate_image_is_rejected_and_a_duplicate_annotation_id_noticed(tmp_path: Path) -> None:
    content = coco(images=1)
    content["images"] *= 2
    content["annotations"] *= 2
    records, problems = read(tmp_path, content)
    assert reasons(problems)["duplicate_image"] == 1
    assert reasons(problems)["duplicate_id"] == 1
    assert len(only(records, AnnotationRecord)) == 2


def test_a_results_list_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="JSON list") as refused:
        read(tmp_path, [])
    assert "as predictions" in refused.value.remedy


def test_images_are_found_by_name_and_base_name(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "deep" / "001.jpg")
    records, problems = read(tmp_path, coco(), images=tmp_path / "images")
    first, second = only(records, SampleRecord)
    assert first.path == tmp_path / "images" / "deep" / "001.jpg"
    assert second.path is None
    assert reasons(problems)["missing_image_file"] == 1


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg", "..\\secret.jpg"])
def test_a_file_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "secret.jpg")
    (tmp_path / "images").mkdir()
    content = coco(images=0) | {"images": [{"id": 1, "file_name": name, "width": 100, "height": 80}]}
    records, problems = read(tmp_path, content, images=tmp_path / "images")
    assert only(records, SampleRecord)[0].path is None
    assert reasons(problems)["unsafe_path"] == 1


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    picture(tmp_path / "secret.jpg")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "001.jpg").symlink_to(tmp_path / "secret.jpg")
    records, problems = read(tmp_path, coco(images=1), images=tmp_path / "images")
    assert only(records, SampleRecord)[0].path is None
    assert reasons(problems)["unsafe_path"] == 1


@pytest.mark.parametrize("content", [b"<svg onload=alert(1)>", b"<html><script>", b"", b"\xff\xd8\xff\xe0 not really"])
def test_what_is_no_image_stays_out_whatever_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "001.jpg").write_bytes(content)
    records, problems = read(tmp_path, coco(images=1), images=tmp_path / "images")
    assert only(records, SampleRecord)[0].path is None
    assert reasons(problems)["not_an_image"] == 1


@pytest.mark.parametrize(("declared", "transposed"), [((80, 100), True), ((100, 80), False)])
def test_the_frame_of_a_rotated_image_is_the_one_declared(tmp_path: Path, declared: tuple[int, int], transposed: bool) -> None:
    picture(tmp_path / "images" / "1.jpg", (100, 80), orientation=6)
    content = coco(images=0) | {"images": [{"id": 1, "file_name": "1.jpg", "width": declared[0], "height": declared[1]}]}
    records, problems = read(tmp_path, content, images=tmp_path / "images")
    (sample,) = only(records, SampleRecord)
    assert (sample.width, sample.height, sample.orientation, sample.exif_transposed) == (*declared, 6, transposed)
    assert reasons(problems)["exif_rotated"] == 1


def test_a_size_that_disagrees_is_noticed(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "001.jpg", (50, 50))
    _, problems = read(tmp_path, coco(images=1), images=tmp_path / "images")
    assert reasons(problems)["size_disagrees"] == 1


def test_a_missing_size_comes_from_the_image(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "1.jpg", (64, 48))
    records, _ = read(tmp_path, coco(images=0) | {"images": [{"id": 1, "file_name": "1.jpg"}]}, images=tmp_path / "images")
    assert [(record.width, record.height) for record in only(records, SampleRecord)] == [(64, 48)]


def test_keypoints_with_their_skeleton(tmp_path: Path) -> None:
    category = {"id": 7, "name": "hand", "keypoints": ["a", "b"], "skeleton": [[1, 2]]}
    content = coco() | {"categories": [category], "annotations": [annotation(keypoints=[1, 2, 2, 3, 4, 0])]}
    records, _ = read(tmp_path, content)
    assert only(records, CategoryRecord)[0].skeleton == [[1, 2]]
    assert only(records, AnnotationRecord)[0].keypoints == [1, 2, 2, 3, 4, 0]


def test_the_number_of_keypoints_must_be_the_categorys(tmp_path: Path) -> None:
    category = {"id": 7, "name": "hand", "keypoints": ["a", "b"], "skeleton": []}
    _, problems = read(tmp_path, coco() | {"categories": [category], "annotations": [annotation(keypoints=[1, 2, 2])]})
    assert problems.rejected_by_reason() == {"bad_keypoints": 1}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("_annotations.createml.json", [{"image": "a.jpg", "annotations": []}], "CreateML"),
        ("results.json", [{"image_id": 1}], "JSON list"),
        ("train.tfrecord", "record", "TFRecord"),
    ],
)
def test_what_is_no_coco_is_told_for_what_it_is(tmp_path: Path, name: str, content: Any, words: str) -> None:
    with pytest.raises(ImportRefused, match=words):
        list(CocoImporter().read(Source(write(tmp_path / name, content)), ProblemLog()))
