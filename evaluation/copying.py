"""Numbers out of the database as arrays: COPY in binary, in which every row is as long as the next, read without a Python
object for each."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

# The format's header: a signature of 11 bytes, flags and the length of an extension that nobody writes.
HEADER = 19
# Bytes. What the driver hands out is a view of its own memory, which is best given back soon.
AT_ONCE = 1_000_000


def copy_columns(query: str, parameters: Sequence[Any], kinds: Sequence[type]) -> list[NDArray[Any]]:
    """The query's columns, bigint or float8 as `kinds` say (np.int64, np.float64), none of them null; in the order of its rows."""
    fields = [("count", ">i2")]
    for number, kind in enumerate(kinds):
        fields += [(f"length{number}", ">i4"), (f"value{number}", np.dtype(kind).newbyteorder(">").str)]
    row = np.dtype(fields)
    parts: list[list[NDArray[Any]]] = [[] for _ in kinds]
    for rows in copied_rows(query, parameters, row):
        for number, part in enumerate(parts):
            part.append(rows[f"value{number}"].astype(kinds[number]))
    columns: list[NDArray[Any]] = []
    while parts:
        # A column's parts go before the next is put together: millions of rows are held once, not twice.
        part = parts.pop(0)
        columns.append(np.concatenate(part) if part else np.empty(0, kinds[len(columns)]))
    return columns


def copied_rows(query: str, parameters: Sequence[Any], row: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Rows of this layout, as they come in binary, about a megabyte at a time."""
    with connection.cursor() as cursor, cursor.cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)", parameters) as copying:
        rest, start = b"", HEADER
        while data := b"".join(map(bytes, islice(copying, AT_ONCE // row.itemsize))):
            data = rest + data
            whole = (len(data) - start) // row.itemsize
            yield np.frombuffer(data, row, whole, start)
            # After the last row two bytes are left, which end the format.
            rest, start = data[start + whole * row.itemsize :], 0
