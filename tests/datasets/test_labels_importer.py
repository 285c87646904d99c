import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from datasets.importers.base import AnnotationRecord, CategoryRecord, SampleRecord, Source
from datasets.importers.labels import LabelsImporter
from datasets.importers.problems import ImportRefused, ProblemLog
from tests.coco_files import picture, write


def read(path: Path, **source: Any) -> tuple[list[Any], ProblemLog]:
    problems = ProblemLog()
    return list(LabelsImporter().read(Source(path, **source), problems)), problems


def pairs(records: list[Any]) -> list[tuple[str, str]]:
    return [(record.sample_id, record.category_id) for record in records if isinstance(record, AnnotationRecord)]


@pytest.mark.parametrize(
    "text",
    [
        "file_name,label\n1.jpg,cat\n2.jpg,dog\n",
        "file_name;label\n1.jpg;cat\n2.jpg;dog",
        "label\tfile_name\ncat\t1.jpg\ndog\t2.jpg\n",
        "\ufefffile_name,label\r\n1.jpg,cat\r\n\r\n2.jpg,dog\r\n",
        'Image_Name, "Label"\n"1.jpg",cat\n2.jpg, dog \n',
        "id,filename,class,notes\n1,1.jpg,cat,\n2,2.jpg,dog,\n",
    ],
)
def test_tables_as_people_write_them(tmp_path: Path, text: str) -> None:
    records, problems = read(write(tmp_path / "labels.csv", text))
    assert pairs(records) == [("1.jpg", "cat"), ("2.jpg", "dog")]
    assert not problems.found()


def test_quotes_hold_commas_and_lines_together(tmp_path: Path) -> None:
    records, _ = read(write(tmp_path / "labels.csv", 'file_name,label\n"a,1.jpg","a ""big""\ncat"\nb.jpg,x\n'))
    assert pairs(records) == [("a,1.jpg", 'a "big"\ncat'), ("b.jpg", "x")]


def test_every_class_comes_once_and_first(tmp_path: Path) -> None:
    records, _ = read(write(tmp_path / "labels.csv", "file_name,label\n1.jpg,cat\n2.jpg,cat\n"))
    kinds = [CategoryRecord, SampleRecord, AnnotationRecord, SampleRecord, AnnotationRecord]
    assert [type(record) for record in records] == kinds


def test_lines_of_json_may_have_several_labels(tmp_path: Path) -> None:
    lines = [
        {"file_name": "1.jpg", "label": ["cat", "dog", "cat"]},
        {"image": "2.jpg", "class": 3},
        {"file_name": "3.jpg", "label": "a"},
    ]
    records, _ = read(write(tmp_path / "labels.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n"))
    assert pairs(records) == [("1.jpg", "cat"), ("1.jpg", "dog"), ("2.jpg", "3"), ("3.jpg", "a")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("only-one-column", "bad_line"),
        ("1.jpg,", "missing_field"),
        (",cat", "missing_field"),
        ("2.jpg,cat", "duplicate_image"),
        ("x" * 2_000 + ",cat", "name_too_long"),
        ("a\0.jpg,cat", "name_too_long"),
    ],
)
def test_a_row_of_a_table_that_does_not_fit_is_rejected(tmp_path: Path, line: str, reason: str) -> None:
    records, problems = read(write(tmp_path / "labels.csv", f"file_name,label\n2.jpg,cat\n{line}\n3.jpg,dog\n"))
    assert problems.rejected_by_reason() == {reason: 1}
    assert problems.found()[0].examples[0]["row"] == 3
    assert len(pairs(records)) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "bad_line"),
        ("[1]", "not_an_object"),
        ("[" * 100_000, "bad_line"),
        ('{"file_name": "1.jpg", "label": ' + "1" * 5_000 + "}", "bad_line"),
        ('{"file_name": "1.jpg"}', "missing_field"),
        ('{"file_name": "1.jpg", "label": []}', "missing_field"),
        ('{"file_name": "1.jpg", "label": true}', "missing_field"),
        ('{"label": "cat"}', "missing_field"),
    ],
)
def test_a_line_of_json_that_does_not_fit_is_rejected(tmp_path: Path, line: str, reason: str) -> None:
    content = '{"file_name": "2.jpg", "label": "cat"}\n' + line + '\n{"file_name": "3.jpg", "label": "dog"}\n'
    records, problems = read(write(tmp_path / "labels.jsonl", content))
    assert problems.rejected_by_reason() == {reason: 1}
    assert problems.read_count("samples", len(pairs(records))) == 3


def test_half_a_character_can_be_stored(tmp_path: Path) -> None:
    records, _ = read(write(tmp_path / "labels.jsonl", '{"file_name": "\\ud800.jpg", "label": "\\udfff"}'))
    assert pairs(records) == [("\\ud800.jpg", "\\udfff")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (gzip.compress(b"file_name,label"), "compressed"),
        ("file_name,label\n1,2".encode("utf-16"), "encoding"),
        (b"file_name,label\n", "no rows"),
        (b"file_name,label\n,\n", "no rows"),
        (b"1.jpg,cat\n2.jpg,dog\n", "no columns file_name and label"),
        (b"file_name,dog,cat\n1.jpg,1,0\n", "no columns file_name and label"),
        (b"file_name,label,xmin,ymin,xmax,ymax\n1.jpg,cat,0,0,1,1\n", "boxes"),
        (b'file_name,label,bbox\n1.jpg,cat,"[0,0,1,1]"\n', "boxes"),
    ],
)
def test_what_is_no_table_of_labels_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ImportRefused, match=words) as refused:
        read(write(tmp_path / "labels.csv", content))
    assert refused.value.remedy


def test_the_line_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    content = b"file_name,label\n" + b"".join(b"%d.jpg,cat\n" % n for n in range(2_000)) + b"x.jpg,caf\xe9\n"
    with pytest.raises(ImportRefused, match="UTF-8") as refused:
        read(write(tmp_path / "labels.csv", content))
    assert refused.value.where == "line 2002"


def test_images_are_found_with_and_without_their_suffix(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "1.jpg", (30, 20))
    picture(tmp_path / "images" / "2.jpg", (30, 20))
    path = write(tmp_path / "labels.csv", "image,label\n1.jpg,a\n2,b\n3,c\n../x.jpg,d\n")
    records, problems = read(path, images=tmp_path / "images")
    found = [(record.width, record.height, record.path is not None) for record in records if isinstance(record, SampleRecord)]
    assert found == [(30, 20, True), (30, 20, True), (None, None, False), (None, None, False)]
    assert {problem.reason for problem in problems.found()} == {"missing_image_file", "unsafe_path"}


def test_in_a_folder_the_only_table_of_labels_is_meant(tmp_path: Path) -> None:
    write(tmp_path / "labels.csv", "file_name,label\n1.jpg,cat\n")
    write(tmp_path / "metrics.csv", "epoch,loss\n1,2\n")
    assert len(pairs(read(tmp_path)[0])) == 1
    write(tmp_path / "more.csv", "file_name,label\n1.jpg,cat\n")
    with pytest.raises(ImportRefused, match="2 files of labels"):
        read(tmp_path)


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = write(tmp_path / "labels.csv", "file_name,label\n" + "".join(f"{n}.jpg,cat\n" for n in range(5_000)))
    read(path, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][1] == path.stat().st_size
    assert len(told) > 3


def test_rows_with_more_cells_than_columns_are_refused_not_cut(tmp_path: Path) -> None:
    records, problems = read(write(tmp_path / "labels.csv", "file_name,label\n1.jpg,cat,0,1,1,2\n2.jpg,dog,\n"))
    assert pairs(records) == [("2.jpg", "dog")]
    assert problems.rejected_by_reason() == {"bad_line": 1}
