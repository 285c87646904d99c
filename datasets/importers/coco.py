"""COCO annotations: images, categories and annotations in any order, ids verbatim as text. Pure.

Three passes over the file, one per array, so that annotations stream while the small arrays are known.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from datasets.importers.base import Record, Source
from datasets.importers.coco_rows import RowRefused, Seen, annotation_record, category_record, id_of, remember, sample_record
from datasets.importers.files import annotation_files
from datasets.importers.foreign import refusal_of
from datasets.importers.ids import shift_between
from datasets.importers.image_files import add_image_file, finder_of
from datasets.importers.json_stream import JsonStream
from datasets.importers.problems import ImportRefused, ProblemLog

Found = TypeVar("Found")

PASSES = 3
# Boxes that reach past the edge are told as another format's where they are this share, and nearly all read as corners.
TELLING_SHARE, NEARLY_ALL = 0.05, 0.95


class CocoImporter:
    """Reads instances, keypoints, stuff and labels files; captions and panoptic segments are counted and left out."""

    def read(self, source: Source, problems: ProblemLog) -> Iterator[Record]:
        file = annotations_file(source)
        stream = JsonStream(file)
        if stream.kind() != "object":
            raise refusal_of(file)
        seen = Seen()
        yield from _categories(_pass(stream, source, 0), source, problems, seen)
        yield from _samples(_pass(stream, source, 1), file, source, problems, seen)
        if not seen.sizes:
            raise ImportRefused("The file has no images.", where='"images"', remedy="COCO ground truth lists its images there.")
        _shift_ids(stream, source.fixes, seen)
        yield from _annotations(_pass(stream, source, 2), source, problems, seen)
        _conclude(stream, seen, problems)


def _pass(stream: JsonStream, source: Source, number: int) -> JsonStream:
    """The stream, telling its progress as one of several passes."""
    stream.progress = lambda done, total: source.progress(number * total + done, PASSES * total)
    return stream


def _categories(stream: JsonStream, source: Source, problems: ProblemLog, seen: Seen) -> Iterator[Record]:
    for number, row in enumerate(stream.items("categories.item"), start=1):
        try:
            record = category_record(row)
            if record.external_id in seen.keypoint_counts:
                raise RowRefused("duplicate_id", f"category id {record.external_id}")
        except RowRefused as refused:
            problems.add(refused.reason, row=number, where="categories", detail=refused.detail, kind="categories")
            continue
        if "map_by_name" in source.fixes:
            seen.categories.setdefault(record.name, record.external_id)
        remember(seen.categories, row["id"], record.external_id)
        seen.category_names.add(record.name)
        seen.keypoint_counts[record.external_id] = len(record.keypoint_names)
        yield record


def _samples(stream: JsonStream, file: Path, source: Source, problems: ProblemLog, seen: Seen) -> Iterator[Record]:
    finder = finder_of(source, file)
    known: set[str] = set()
    for number, row in enumerate(stream.items("images.item"), start=1):
        try:
            record = sample_record(row)
            if record.external_id in known:
                raise RowRefused("duplicate_image", f"image id {record.external_id}")
        except RowRefused as refused:
            problems.add(refused.reason, row=number, where="images", detail=refused.detail, kind="samples")
            continue
        if finder:
            add_image_file(record, finder, problems, number)
        known.add(record.external_id)
        found = record.external_id, (record.width, record.height)
        if "match_file_stem" in source.fixes:
            for name in _names_of(record.file_name):
                seen.sizes.setdefault(name, found)
        remember(seen.sizes, row["id"], found)
        yield record


def _names_of(file_name: str) -> tuple[str, str, str]:
    path = PurePosixPath(file_name.replace("\\", "/"))
    return file_name, path.name, path.stem


def _annotations(stream: JsonStream, source: Source, problems: ProblemLog, seen: Seen) -> Iterator[Record]:
    left_out = {"captions_ignored": 0, "panoptic_ignored": 0}
    for number, row in enumerate(stream.items("annotations.item"), start=1):
        try:
            yield annotation_record(row, number, source.fixes, seen, problems)
        except RowRefused as refused:
            if refused.reason in left_out:
                left_out[refused.reason] += 1
                continue
            problems.add(refused.reason, row=number, where="annotations", detail=refused.detail, kind="annotations")
    for reason, count in left_out.items():
        if count:
            problems.add(reason, count=count, kind="annotations", where="annotations", detail=f"{count:,} of them")


def annotations_file(source: Source) -> Path:
    """The file itself; in a folder the only annotations file, or the one whose name holds the split's and the task's."""
    path = source.path
    if path.is_file():
        return path
    found = annotation_files(path)
    if not found:
        raise refusal_of(path)
    named = [file for file in found if source.split and source.split in str(file.relative_to(path))]
    kind = "keypoints" if source.task_type == "pose" else "instances"
    of_kind = [file for file in named or found if kind in file.name]
    for candidates in (found, named, of_kind):
        if len(candidates) == 1:
            return candidates[0]
    names = ", ".join(str(file.relative_to(path)) for file in found[:6])
    raise ImportRefused(
        f"The folder has {len(found)} annotation files, so which one is meant is open.",
        where=names,
        remedy="Import the file itself and name its images' folder, or name the split as the file does.",
    )


def _shift_ids(stream: JsonStream, fixes: frozenset[str], seen: Seen) -> None:
    """Move the known ids by the one offset that makes all used ones known, where that fix is on. Raises ImportRefused."""
    if "shift_category_ids" in fixes:
        seen.categories = _shifted(seen.categories, _used_ids(stream, "category_id"), "category_id")
    if "shift_image_ids" in fixes:
        seen.sizes = _shifted(seen.sizes, _used_ids(stream, "image_id"), "image_id")


def _shifted(known: dict[Any, Found], used: set[Any], name: str) -> dict[Any, Found]:
    offset = shift_between(known, used)
    if offset is None:
        raise ImportRefused(
            f"No shift by one makes every {name} of this file known.", remedy="Switch this fix off and look at the ids."
        )
    return {number - offset: found for number, found in known.items() if isinstance(number, int)}


def _used_ids(stream: JsonStream, name: str) -> set[Any]:
    return {id_of(row, name) for row in stream.items("annotations.item")} - {None}


def _conclude(stream: JsonStream, seen: Seen, problems: ProblemLog) -> None:
    """What only the whole file shows: boxes of another format, ids shifted by one or names in their place, scores."""
    if seen.boxes and seen.like_fractions > NEARLY_ALL * seen.boxes:
        problems.add("box_looks_like_fraction", count=seen.like_fractions, rejected=False)
        problems.offer("scale_fractions")
    elif seen.boxes and seen.like_corners > NEARLY_ALL * seen.boxes and seen.past_the_edge > TELLING_SHARE * seen.boxes:
        problems.add("box_looks_like_xyxy", count=seen.like_corners, rejected=False)
        problems.offer("convert_xyxy")
    elif seen.past_the_edge:
        problems.add("box_past_edge", count=seen.past_the_edge, rejected=False)
        problems.offer("clip_boxes")
    if seen.scored:
        problems.add("looks_like_predictions", count=seen.scored, rejected=False)
    if seen.unknown_categories and seen.unknown_categories <= seen.category_names:
        problems.offer("map_by_name")
    if seen.unknown_images and problems.rejected_count("annotations"):
        _offer_stems(stream, seen, problems)
    for unknown, name, known, fix in (
        (seen.unknown_categories, "category_id", seen.categories, "shift_category_ids"),
        (seen.unknown_images, "image_id", seen.sizes, "shift_image_ids"),
    ):
        if shift_between(known, unknown) and shift_between(known, _used_ids(stream, name)):
            problems.add("ids_shifted_by_one", where=name, detail=f"such as {min(unknown)}", rejected=False)
            problems.offer(fix)


def _offer_stems(stream: JsonStream, seen: Seen, problems: ProblemLog) -> None:
    names = (_names_of(str(row.get("file_name"))) for row in stream.items("images.item") if isinstance(row, dict))
    if any(not seen.unknown_images.isdisjoint(group) for group in names):
        problems.offer("match_file_stem")
