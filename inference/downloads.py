"""All results of a job as files: CSV, JSON, COCO, and annotated images in a ZIP; streamed, never whole in memory."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from inference import results
from inference.decoding import Unreadable
from inference.models import InferenceResult

Rows = Iterable[InferenceResult]
COLUMNS = [
    "name", "state", "error", "label", "confidence", "object", "x", "y", "width", "height", "preprocess_ms", "inference_ms",
    "postprocess_ms",
]  # fmt: skip


def as_csv(rows: Rows) -> Iterator[str]:
    """A line for each object; for an image without, one line."""
    yield _line(COLUMNS)
    for row in rows:
        head = [_safe(row.name), row.state, _safe(row.error)]
        times = [_ms(row.preprocess_ms), _ms(row.inference_ms), _ms(row.postprocess_ms)]
        objects = results.shown_objects(row)
        for number, found in enumerate(objects, start=1):
            yield _line([*head, _safe(found["label"]), f"{found['confidence']:.6f}", number, *found["bbox"], *times])
        if not objects:
            confidence = "" if row.confidence is None else f"{row.confidence:.6f}"
            yield _line([*head, _safe(row.label), confidence, "", "", "", "", "", *times])


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _safe(text: str) -> str:
    """Spreadsheets run what begins like a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _line(values: Iterable[Any]) -> str:
    csv.writer(file := io.StringIO(), lineterminator="\n").writerow(values)
    return file.getvalue()


def as_json(rows: Rows) -> Iterator[str]:
    """A list of the results as the API tells them."""
    yield "["
    for number, row in enumerate(rows):
        yield ("," if number else "") + "\n" + json.dumps(results.as_dict(row))
    yield "\n]\n"


def as_coco(rows: Rows, class_names: list[str]) -> Iterator[str]:
    """COCO's ground-truth shape with a score on each annotation: images, categories and annotations in one file."""
    categories = [{"id": n, "name": name} for n, name in enumerate(class_names)]
    yield '{"categories": ' + json.dumps(categories) + ', "images": ['
    annotations: list[str] = []
    for number, row in enumerate(rows):
        image = {"id": row.position, "file_name": row.name, "width": row.width, "height": row.height}
        yield ("," if number else "") + "\n" + json.dumps(image)
        annotations += [json.dumps(each) for each in _annotations(row)]
    yield '\n], "annotations": ['
    for number, text in enumerate(annotations, start=1):
        yield (",\n" if number > 1 else "\n") + f'{{"id": {number}, ' + text[1:]
    yield "\n]}\n"


def _annotations(row: InferenceResult) -> Iterator[dict[str, Any]]:
    about = {"image_id": row.position, "iscrowd": 0}
    for found in results.shown_objects(row):
        box = found["bbox"]
        extra = {name: found[name] for name in ("segmentation", "keypoints") if found.get(name)}
        yield (
            about
            | {"category_id": found["label_id"], "bbox": box, "area": box[2] * box[3], "score": found["confidence"]}
            | extra
        )
    if row.top and row.label_id is not None:
        yield about | {"category_id": row.label_id, "score": row.confidence}


class _Pieces(io.RawIOBase):
    """A file that gives away what was written to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self.pieces.append(bytes(piece))
        return len(piece)

    def taken(self) -> bytes:
        whole = b"".join(self.pieces)
        self.pieces.clear()
        return whole


def as_zip(rows: Rows) -> Iterator[bytes]:
    """Annotated pictures by the names of their images, as they are drawn, and the table of results."""
    sink = _Pieces()
    table: list[str] = []
    taken: set[str] = set()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # JPEGs do not pack
        for row in rows:
            table += list(as_csv([row]))[1:]
            try:
                content = results.picture(row)
            except (FileNotFoundError, Unreadable):
                continue
            archive.writestr(_name(row, taken), content)
            yield sink.taken()
        archive.writestr("results.csv", _line(COLUMNS) + "".join(table))
    yield sink.taken()


def _name(row: InferenceResult, taken: set[str]) -> str:
    parts = [part for part in PurePosixPath(row.name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    name = str(PurePosixPath(*parts or ["image"]).with_suffix(".jpg"))
    if name in taken:
        name = f"{row.position}-{name.replace('/', '-')}"
    taken.add(name)
    return name
