"""What a file or folder is, told before it is read; and that the table of importers holds together."""

from pathlib import Path

import pytest

from datasets.importers import IMPORTERS, get_importer, sniff
from datasets.importers.problems import FIXES, REASONS, ImportRefused
from tests.coco_files import coco, picture, write


def layout(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".jpg", ".png"):
            picture(path)
        else:
            path.write_text(content)
    return root


@pytest.mark.parametrize("key", IMPORTERS)
def test_every_importer_is_there(key: str) -> None:
    assert callable(get_importer(key).read)


def test_every_fix_that_a_reason_names_is_there() -> None:
    assert {reason.fix for reason in REASONS.values() if reason.fix} <= set(FIXES)


@pytest.mark.parametrize(
    ("files", "key"),
    [
        ({"data.yaml": "names: [a]"}, "yolo"),
        ({"coco8.yaml": "names: [a]", "images/a.jpg": ""}, "yolo"),
        ({"obj.data": "", "obj.names": ""}, "yolo"),
        ({"images/a.jpg": "", "labels/a.txt": ""}, "yolo"),
        ({"a.jpg": "", "a.txt": "0 0.5 0.5 0.1 0.1"}, "yolo"),
        ({"annotations/instances_val.json": '{"images": []}', "val/a.jpg": ""}, "coco"),
        ({"train/_annotations.coco.json": '{"images": []}', "train/a.jpg": ""}, "coco"),
        ({"labels.csv": "file_name,label\n", "images/a.jpg": ""}, "labels"),
        ({"labels.jsonl": "{}", "images/a.jpg": ""}, "labels"),
        ({"rain/a.jpg": "", "sun/b.jpg": ""}, "image_folder"),
        ({"val/rain/a.jpg": "", "train/sun/b.jpg": ""}, "image_folder"),
        ({"val/rain/a.jpg": "", "results.csv": "epoch,loss\n", "package.json": "{}", "config.yaml": "a: 1"}, "image_folder"),
    ],
)
def test_folders_are_told_apart(tmp_path: Path, files: dict[str, str], key: str) -> None:
    assert sniff(layout(tmp_path, files)) == key


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("truth.json", "\ufeff  {}", "coco"),
        ("data.yaml", "", "yolo"),
        ("obj.data", "", "yolo"),
        ("labels.csv", "", "labels"),
        ("labels.TSV", "", "labels"),
        ("labels.jsonl", "", "labels"),
    ],
)
def test_files_are_told_apart(tmp_path: Path, name: str, content: str, key: str) -> None:
    assert sniff(write(tmp_path / name, content)) == key


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "nothing that Touchstone knows"),
        ({"notes.txt": "x"}, "nothing that Touchstone knows"),
        ({"a.jpg": "", "b.jpg": ""}, "nothing that says what is in them"),
        ({"images/a.jpg": "", "masks/a.png": ""}, "nothing that says what is in them"),
        ({"train/a.jpg": "", "val/b.jpg": ""}, "nothing that says what is in them"),
        ({"images/a.jpg": "", "annotations/a.xml": "<annotation/>"}, "Pascal VOC"),
        ({"a.jpg": "", "a.xml": "<annotation/>"}, "Pascal VOC"),
        ({"train/a.jpg": "", "train/a.createml.json": '[{"image": "a.jpg", "annotations": []}]'}, "CreateML"),
        ({"train/a.tfrecord": "", "train/label_map.pbtxt": ""}, "TFRecord"),
        ({"images/a.jpg": "", "ann.csv": "image_name,dog,cat\n"}, "no columns file_name and label"),
        ({"train/a.jpg": "", "train/_classes.csv": "filename,dog\n"}, "no columns file_name and label"),
    ],
)
def test_what_is_not_read_is_refused_in_words(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(ImportRefused, match=words) as refused:
        sniff(layout(tmp_path, files))
    assert "COCO JSON" in refused.value.remedy


def test_a_results_list_is_sent_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="JSON list") as refused:
        sniff(write(tmp_path / "results.json", [{"image_id": 1}]))
    assert "as predictions" in refused.value.remedy


def test_createmls_list_is_no_results_list(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="CreateML"):
        sniff(write(tmp_path / "a.json", [{"image": "a.jpg", "annotations": []}]))


def test_links_that_lead_out_do_not_count(tmp_path: Path) -> None:
    write(tmp_path / "truth.json", coco())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "truth.json").symlink_to(tmp_path / "truth.json")
    with pytest.raises(ImportRefused):
        sniff(tmp_path / "set")
