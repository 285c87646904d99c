"""Predicted objects as rows of PostgreSQL's binary COPY.

The plain row (a box and a score, what nearly every file holds) takes a path of its own, written out by hand: it is met
475,000 times in a file of ordinary size, and psycopg's general row writer costs as much as the parser does.
"""

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from datasets.importers.problems import ProblemLog
from predictions.coco_results import ResultRow, RowRefused, Truth, parse_row

FIELDS = ["run", "sample", "category", "score", "x", "y", "width", "height", "area", "segmentation", "keypoints"]

ROWS_PER_CHUNK = 2_000
HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)
FLOAT8_OID = 701

# Field count and run once per row; then sample, category (int8) and score, x, y, width, height (float8); three NULLs.
_plain = struct.Struct(">hiqiqiqidididididiii").pack
_head = struct.Struct(">hiqiqiqid").pack
_float = struct.Struct(">id").pack
NUMBERS = frozenset((int, float))
IDS = frozenset((int, float, str))

UNKNOWN_IN = {"unknown_image": "image_id", "unknown_category": "category_id"}
MOST_UNKNOWN = 1_000


class Tally:
    """What was stored, while the rows stream by."""

    def __init__(self) -> None:
        self.read = 0
        self.by_category: Counter[int] = Counter()
        # Ids that mean nothing here, by the field they stand in; only so many.
        self.unknown: dict[str, set[Any]] = {"image_id": set(), "category_id": set()}

    @property
    def stored(self) -> int:
        return self.by_category.total()

    def note_unknown(self, reason: str, row: Any) -> None:
        field = UNKNOWN_IN.get(reason)
        if field and len(self.unknown[field]) < MOST_UNKNOWN and isinstance(row[field], (int, str)):
            self.unknown[field].add(row[field])


def copy_chunks(
    rows: Iterable[Any], run: int, truth: Truth, fixes: frozenset[str], problems: ProblemLog, tally: Tally
) -> Iterator[bytes]:
    """Chunks of a binary COPY stream for FIELDS, in file order; refused rows go to the problem log."""
    samples, categories, by_category = truth.samples, truth.categories, tally.by_category
    buffer: list[bytes] = [HEADER]
    number = 0
    for number, row in enumerate(rows, start=1):
        try:
            x, y, width, height = row["bbox"]
            score, image, kind = row["score"], row["image_id"], row["category_id"]
            if (
                x.__class__ in NUMBERS
                and y.__class__ in NUMBERS
                and width.__class__ in NUMBERS
                and height.__class__ in NUMBERS
                and score.__class__ in NUMBERS
                and image.__class__ in IDS
                and kind.__class__ in IDS
                and -1e300 < score < 1e300
                and -1e300 < x < 1e300
                and -1e300 < y < 1e300
                and 0 <= width < 1e300
                and 0 <= height < 1e300
                and not fixes
                and "segmentation" not in row
                and "keypoints" not in row
            ):
                category = categories[kind]
                buffer.append(
                    _plain(11, 8, run, 8, samples[image], 8, category, 8, score, 8, x, 8, y, 8, width, 8, height, -1, -1, -1)
                )
                by_category[category] += 1
            else:
                raise TypeError
        except (KeyError, TypeError, ValueError, OverflowError, struct.error):
            # Not plain, or not right: the careful way decides, and says what is wrong.
            try:
                parsed = parse_row(row, truth, fixes)
            except RowRefused as refused:
                problems.add(refused.reason, row=number, detail=refused.detail)
                tally.note_unknown(refused.reason, row)
            else:
                buffer.append(pack_row(run, parsed))
                by_category[parsed.category] += 1
        if len(buffer) >= ROWS_PER_CHUNK:
            tally.read = number
            yield b"".join(buffer)
            buffer.clear()
    tally.read = number
    buffer.append(TRAILER)
    yield b"".join(buffer)


def pack_row(run: int, row: ResultRow) -> bytes:
    """One row with whatever it has; absent parts are NULL."""
    parts = [_head(11, 8, run, 8, row.sample, 8, row.category, 8, row.score)]
    parts += [_float(8, side) for side in row.box] if row.box else [NULL] * 4
    parts.append(NULL if row.area is None else _float(8, row.area))
    parts.append(NULL if row.segmentation is None else _sized(b"\x01" + json.dumps(row.segmentation).encode()))
    parts.append(NULL if row.keypoints is None else _sized(_float_array(row.keypoints)))
    return b"".join(parts)


def _sized(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def _float_array(values: list[float]) -> bytes:
    """PostgreSQL's binary float8[]: dimensions, no NULLs, element type, length, lower bound, elements."""
    head = struct.pack(">iiiii", 1, 0, FLOAT8_OID, len(values), 1)
    return head + b"".join(_float(8, value) for value in values)
