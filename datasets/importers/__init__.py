"""The importers, by key. A new one: one file beside this, one line here, one test file."""

from importlib import import_module
from pathlib import Path

from datasets.importers.base import Importer
from datasets.importers.files import annotation_files, first_mark, head_of, own_files
from datasets.importers.foreign import IMAGE_SUFFIXES, has_images, refusal_of
from datasets.importers.tables import SUFFIXES as LABEL_SUFFIXES
from datasets.importers.tables import has_label_columns

IMPORTERS: dict[str, tuple[str, str]] = {
    "coco": ("COCO annotations", "datasets.importers.coco.CocoImporter"),
    "yolo": ("YOLO folder", "datasets.importers.yolo.YoloImporter"),
    "image_folder": ("ImageFolder", "datasets.importers.image_folder.ImageFolderImporter"),
    "labels": ("Labels (CSV or JSON Lines)", "datasets.importers.labels.LabelsImporter"),
}

YAML_SUFFIXES = {".yaml", ".yml"}
NAMES_OF_CLASSES = ("obj.names", "classes.txt")
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}
# Folders that other layouts keep their images and labels in: no classes.
NO_CLASSES = {"images", "image", "imgs", "img", "jpegimages", "masks", "mask", "annotations", "labels", "labeltxt"}


def get_importer(key: str) -> Importer:
    """The importer of that key, loaded on first use."""
    module, name = IMPORTERS[key][1].rsplit(".", 1)
    importer: Importer = getattr(import_module(module), name)()
    return importer


def sniff(path: Path) -> str:
    """The key of the importer that reads this file or folder. Raises ImportRefused where none does."""
    found = _sniff_folder(path) if path.is_dir() else _sniff_file(path)
    if found is None:
        raise refusal_of(path)
    return found


def _sniff_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml", ".data"):
        return "yolo"
    if suffix in LABEL_SUFFIXES:
        return "labels"
    return "coco" if suffix == ".json" and first_mark(path) != b"[" else None


def _sniff_folder(path: Path) -> str | None:
    if _is_yolo(path):
        return "yolo"
    if annotation_files(path):
        return "coco"
    if any(has_label_columns(file) for file in own_files(path, LABEL_SUFFIXES)):
        return "labels"
    if _is_image_folder(path):
        return "image_folder"
    return None


def _is_image_folder(path: Path) -> bool:
    """Folders of images that may be classes, or folders of splits with such folders in them."""
    if any(next(path.glob(pattern), None) for pattern in ("*.xml", "*/*.xml")):
        return False
    folders = [folder for folder in path.iterdir() if folder.is_dir() and folder.name.lower() not in NO_CLASSES]
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    if splits:
        return any(has_images(folder, "*/*") for folder in splits)
    return any(has_images(folder, "*") or has_images(folder, "*/*") for folder in folders)


def _is_yolo(path: Path) -> bool:
    """A YAML file with names, darknet's files, a folder of labels, or labels beside their images."""
    if any(b"names" in head_of(file) or file.stem == "data" for file in own_files(path, YAML_SUFFIXES)):
        return True
    if (path / "obj.data").is_file() or (path / "labels").is_dir() or any((path / name).is_file() for name in NAMES_OF_CLASSES):
        return True
    stems = {file.stem for file in own_files(path, IMAGE_SUFFIXES)}
    return any(file.stem in stems for file in own_files(path, {".txt"}))
