"""The contract of importers: a source in, records out. Pure: no Django, no database, bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from datasets.importers.problems import ProblemLog

MOST_PIXELS = 100_000_000


def _no_progress(done: int, total: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Source:
    """What to read: a file or folder, the folder of its images, the split wanted, the fixes switched on, and how many
    pixels an image may have."""

    path: Path
    images: Path | None = None
    split: str | None = None
    task_type: str = "detection"
    fixes: frozenset[str] = frozenset()
    progress: Callable[[int, int], None] = _no_progress
    most_pixels: int = MOST_PIXELS


@dataclass(slots=True)
class CategoryRecord:
    external_id: str
    name: str
    supercategory: str = ""
    keypoint_names: list[str] = field(default_factory=list)
    skeleton: list[list[int]] = field(default_factory=list)


@dataclass(slots=True)
class SampleRecord:
    """An image. Width and height (pixels) are those of the frame its annotations live in.

    `path` is the image file, checked to lie inside the source. `exif_transposed`: that frame is the image after its EXIF
    orientation (1 to 8) has been applied.
    """

    external_id: str
    file_name: str
    width: int | None
    height: int | None
    path: Path | None = None
    image_format: str = ""
    orientation: int = 1
    exif_transposed: bool = True


@dataclass(slots=True)
class AnnotationRecord:
    """One label of a sample: a class alone, or with a box (COCO xywh, pixels), a mask and keypoints.

    `area_rule` says what filled `area`: "file" (the file's own), "mask", "box" or "" (none).
    """

    sample_id: str
    category_id: str
    bbox: tuple[float, float, float, float] | None = None
    area: float | None = None
    area_rule: str = ""
    is_crowd: bool = False
    segmentation: list[Any] | dict[str, Any] | None = None
    keypoints: list[float] | None = None
    external_id: str = ""
    row: int = 0


Record = CategoryRecord | SampleRecord | AnnotationRecord


class Importer(Protocol):
    """Reads one format: every category before its use, every sample before its annotations."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]: ...
