"""Files and folders that no importer reads: what they are, and what to bring instead. Pure."""

from pathlib import Path

from datasets.importers.files import first_mark, head_of, lies_within, own_files
from datasets.importers.problems import ImportRefused
from datasets.importers.tables import SUFFIXES as LABEL_SUFFIXES

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
KNOWN = (
    "It reads COCO JSON, YOLO folders with a data.yaml, folders with one folder of images per class, and CSV or "
    "JSON Lines of file_name and label; as such, or in a ZIP."
)
# What other tools write, by the ending of its files.
NOT_READ = {".xml": "Pascal VOC's XML", ".tfrecord": "TensorFlow's TFRecord", ".record": "TensorFlow's TFRecord"}


def refusal_of(path: Path) -> ImportRefused:
    """Why nothing can be read from this file or folder as ground truth."""
    return _folder_refusal(path) if path.is_dir() else _file_refusal(path)


def has_images(path: Path, pattern: str) -> bool:
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.glob(pattern))


def _file_refusal(path: Path) -> ImportRefused:
    if path.suffix.lower() in NOT_READ:
        return _not_read(NOT_READ[path.suffix.lower()], path)
    if path.suffix.lower() == ".json" and first_mark(path) == b"[":
        return _list_refusal(path)
    return _nothing_known(path)


def _list_refusal(path: Path) -> ImportRefused:
    if _is_createml(path):
        return _not_read("CreateML's JSON", path)
    return ImportRefused(
        "This is a JSON list. A list is what models' results come in, not ground truth.",
        where=path.name,
        remedy="Import it as predictions; ground truth in COCO's form is an object with images, annotations, categories.",
    )


def _is_createml(path: Path) -> bool:
    head = head_of(path)
    return head.lstrip()[:1] == b"[" and b'"image_id"' not in head and b'"annotations"' in head


def _folder_refusal(path: Path) -> ImportRefused:
    for suffix, format_name in NOT_READ.items():
        if _within(path, f"*{suffix}"):
            return _not_read(format_name, path)
    if any(_is_createml(file) for file in _within(path, "*.json")):
        return _not_read("CreateML's JSON", path)
    tables = [*own_files(path, LABEL_SUFFIXES), *path.glob("*/_classes.csv")]
    if tables:
        return ImportRefused(
            "The table in this folder has no columns file_name and label.",
            where=str(tables[0].relative_to(path)),
            remedy=f"Name them so in its first line; a box or a class with a column of its own is not read. {KNOWN}",
        )
    if has_images(path, "*") or has_images(path, "*/*"):
        return ImportRefused(
            "There are images here, but nothing that says what is in them in a form that Touchstone reads.",
            where=path.name,
            remedy=KNOWN,
        )
    return _nothing_known(path)


def _within(path: Path, pattern: str) -> list[Path]:
    """The files of that name in the folder or one folder down."""
    return [file for glob in (pattern, f"*/{pattern}") for file in path.glob(glob) if lies_within(file, path)]


def _not_read(format_name: str, path: Path) -> ImportRefused:
    return ImportRefused(
        f"This looks like {format_name}, which is not read.",
        where=path.name,
        remedy=f"Have the tool that wrote it export COCO JSON or YOLO. {KNOWN}",
    )


def _nothing_known(path: Path) -> ImportRefused:
    return ImportRefused("This is nothing that Touchstone knows how to read as ground truth.", where=path.name, remedy=KNOWN)
