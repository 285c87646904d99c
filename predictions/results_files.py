"""Results files as people bring them: a list of rows, or a whole COCO dictionary whose annotations carry scores. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from datasets.importers.ids import shift_between
from datasets.importers.json_stream import JsonStream
from datasets.importers.problems import ImportRefused
from predictions.coco_results import Truth, id_map


class ResultsFile:
    """One results file, read as a stream, as often as asked."""

    def __init__(self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        self.stream = JsonStream(path, progress)
        kind, keys = self.stream.top_level()
        self.is_dictionary = kind == "object"
        if self.is_dictionary and "annotations" not in keys:
            raise ImportRefused(
                f"This is a JSON object with {', '.join(sorted(keys)[:6]) or 'nothing in it'}, not a list of results.",
                remedy='COCO results are a list: [{"image_id": 1, "category_id": 3, "bbox": [...], "score": 0.9}, ...].',
            )
        if kind not in ("array", "object"):
            raise ImportRefused("This file is JSON, but not a list of results.", remedy="COCO results are a list of objects.")

    def rows(self) -> Iterator[Any]:
        return self.stream.items("annotations.item" if self.is_dictionary else "item")

    def apply(self, fixes: frozenset[str], truth: Truth) -> None:
        """Make `truth` answer to the ids that this file uses, by the fixes that the user chose. Raises ImportRefused."""
        if self.is_dictionary:
            self._require_own_ids_mapped(fixes)
            truth.samples = self._samples_by_file_name(truth)
            truth.categories = self._categories_by_name(truth)
            return
        if "match_file_stem" in fixes:
            truth.samples = names_to_keys(truth.file_names) | truth.samples
        if "map_by_name" in fixes:
            truth.categories = {name: key for key, name in truth.category_names.items()} | truth.categories
        if "shift_category_ids" in fixes:
            truth.categories = shifted(truth.categories, self._ids("category_id"), "category_id")
        if "shift_image_ids" in fixes:
            truth.samples = shifted(truth.samples, self._ids("image_id"), "image_id")

    def _require_own_ids_mapped(self, fixes: frozenset[str]) -> None:
        if not {"match_file_stem", "map_by_name"} <= fixes:
            raise ImportRefused(
                "This is a whole COCO dictionary with image and category ids of its own, not a list of results: "
                "its ids need not mean what the dataset's ids mean.",
                remedy="Switch on the fixes match_file_stem (images by file name) and map_by_name (classes by name).",
            )

    def _samples_by_file_name(self, truth: Truth) -> dict[Any, int]:
        by_name = names_to_keys(truth.file_names)
        pairs = []
        for image in self.stream.items("images.item"):
            key = _first_known(by_name, _names_of(str(image.get("file_name", "")))) if isinstance(image, Mapping) else None
            if key is not None:
                pairs.append((str(image.get("id")), key))
        return id_map(pairs)

    def _categories_by_name(self, truth: Truth) -> dict[Any, int]:
        by_name = {name: key for key, name in truth.category_names.items()}
        by_folded = {name.casefold().strip(): key for name, key in by_name.items()}
        pairs = []
        for category in self.stream.items("categories.item"):
            name = str(category.get("name", "")) if isinstance(category, Mapping) else ""
            key = by_name.get(name, by_folded.get(name.casefold().strip()))
            if key is not None:
                pairs.append((str(category.get("id")), key))
        return id_map(pairs)

    def _ids(self, field: str) -> set[Any]:
        return {row[field] for row in self.rows() if isinstance(row, Mapping) and isinstance(row.get(field), (int, str))}


def names_to_keys(file_names: Mapping[int, str]) -> dict[str, int]:
    """Sample keys by file name, base name and stem; a name that could mean two samples means none."""
    counted = Counter(name for file_name in file_names.values() for name in set(_names_of(file_name)))
    return {name: key for key, file_name in file_names.items() for name in _names_of(file_name) if counted[name] == 1}


def shifted(known: dict[Any, int], used: set[Any], field: str) -> dict[Any, int]:
    """The known ids moved by the one offset that makes all used ids known. Raises ImportRefused where there is none."""
    offset = shift_between(known, used)
    if offset is None:
        raise ImportRefused(
            f"No shift by a fixed number makes every {field} of this file known.",
            remedy="Switch this fix off and look at the ids.",
        )
    return {number - offset: key for number, key in known.items() if isinstance(number, int)}


def _names_of(file_name: str) -> list[str]:
    path = PurePosixPath(file_name.replace("\\", "/"))
    return list(dict.fromkeys([file_name, path.name, path.stem]))


def _first_known(by_name: Mapping[str, int], names: list[str]) -> int | None:
    return next((by_name[name] for name in names if name in by_name), None)
