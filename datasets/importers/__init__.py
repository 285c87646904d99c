"""The importers, by key. A new one: one file beside this, one line here, one test file."""

from importlib import import_module
from pathlib import Path

from datasets.importers.base import Importer
from datasets.importers.json_stream import JsonStream
from datasets.importers.problems import ImportRefused

IMPORTERS: dict[str, tuple[str, str]] = {
    "coco": ("COCO annotations", "datasets.importers.coco.CocoImporter"),
    "yolo": ("YOLO folder", "datasets.importers.yolo.YoloImporter"),
    "image_folder": ("ImageFolder", "datasets.importers.image_folder.ImageFolderImporter"),
    "labels": ("Labels (CSV or JSON Lines)", "datasets.importers.labels.LabelsImporter"),
}

LABEL_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson"}
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def get_importer(key: str) -> Importer:
    """The importer of that key, loaded on first use."""
    module, name = IMPORTERS[key][1].rsplit(".", 1)
    importer: Importer = getattr(import_module(module), name)()
    return importer


def sniff(path: Path) -> str:
    """The key of the importer that reads this file or folder. Raises ImportRefused where none does."""
    found = _sniff_folder(path) if path.is_dir() else _sniff_file(path)
    if found is None:
        raise ImportRefused(
            "This is nothing that Touchstone knows how to read as ground truth.",
            where=path.name,
            remedy="It reads COCO JSON, YOLO folders with a data.yaml, folders with one folder of images per class, and CSV or "
            "JSON Lines of file_name and label; as such, or in a ZIP.",
        )
    return found


def _sniff_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml", ".data"):
        return "yolo"
    if suffix in LABEL_SUFFIXES:
        return "labels"
    if suffix != ".json":
        return None
    if JsonStream(path).kind() == "array":
        raise ImportRefused(
            "This is a JSON list. A list is what models' results come in, not ground truth.",
            where=path.name,
            remedy="Import it as predictions; ground truth in COCO's form is an object with images, annotations, categories.",
        )
    return "coco"


def _sniff_folder(path: Path) -> str | None:
    if any(path.glob("*.y*ml")) or (path / "obj.data").exists() or (path / "labels").is_dir():
        return "yolo"
    if annotation_files(path):
        return "coco"
    if any(file.suffix.lower() in LABEL_SUFFIXES for file in path.iterdir()):
        return "labels"
    if any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.glob("*/*")) or any(
        file.suffix.lower() in IMAGE_SUFFIXES for file in path.glob("*/*/*")
    ):
        return "image_folder"
    return None


def annotation_files(folder: Path) -> list[Path]:
    """The JSON files of a folder that could be COCO annotations, nearest first."""
    return sorted((file for file in folder.rglob("*.json") if file.is_file()), key=lambda file: (len(file.parts), file.name))
