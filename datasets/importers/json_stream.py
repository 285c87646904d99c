"""JSON as a stream: rows come out one by one, and every failure says what is wrong and at which byte. Pure.

On top of ijson: refusal of what is not JSON text at all (compressed, UTF-16, empty), the guards of `guarded_text`, and the
byte of an error.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from datasets.importers.files import first_mark
from datasets.importers.guarded_text import CHUNK, UTF8_MARK, GuardedText
from datasets.importers.problems import ImportRefused

ijson_backend = ijson.get_backend("yajl2_c")

COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}
WIDE_TEXT = (b"\xff\xfe", b"\xfe\xff", b"\x00{", b"\x00[", b"{\x00", b"[\x00", b"\x00\x00\x00")
# An error is looked for in steps of so many bytes: single bytes from the start would take hours where a text is long.
STEPS = (CHUNK, 1_600, 40, 1)
NUMBER_WORDS = (b"NaN", b"Infinity")
PARSER_ERRORS = (ijson.JSONError, ValueError, OverflowError)


class JsonStream:
    """A JSON file that may be read several times, each time as a stream."""

    def __init__(self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        self.path, self.progress = path, progress
        self.size = path.stat().st_size
        self._mends_numbers = False
        refuse_what_is_no_text(path)

    def items(self, prefix: str) -> Iterator[Any]:
        """The values under the prefix (ijson's notation), floats as floats. Raises ImportRefused.

        Numbers that JSON has no word for, or the parser no room, come out as empty text.
        """
        with self.path.open("rb") as file:
            text = self._text(file)
            try:
                # Nothing is done per row here: files have millions.
                yield from ijson_backend.items(text, prefix, use_float=True, buf_size=CHUNK)
            except PARSER_ERRORS as error:
                done = self._count_before_error(prefix)
                if not self._turn_on_mending(error, text.position):
                    raise self._refusal(error, done) from error
            else:
                return
        # The same rows once more, those handed out passed over.
        for index, value in enumerate(self.items(prefix)):
            if index >= done:
                yield value

    def top_level(self) -> tuple[str, dict[str, str]]:
        """What the file is ("array", "object", or another kind of value) and, of an object, its keys with their kinds."""
        with self.path.open("rb") as file:
            text = self._text(file)
            try:
                return _top_level(ijson_backend.basic_parse(text, use_float=True, buf_size=CHUNK))
            except PARSER_ERRORS as error:
                if not self._turn_on_mending(error, text.position):
                    raise self._refusal(error, 0) from error
        return self.top_level()

    def kind(self) -> str:
        """ "array", "object" or another kind of value, from the first bytes alone."""
        return {b"[": "array", b"{": "object"}.get(first_mark(self.path), "value")

    def _text(self, file: BinaryIO) -> GuardedText:
        return GuardedText(file, self.size, self.progress, mends_numbers=self._mends_numbers)

    def _quiet_text(self, file: BinaryIO) -> GuardedText:
        return GuardedText(file, self.size, lambda done, total: None, mends_numbers=self._mends_numbers)

    def _count_before_error(self, prefix: str) -> int:
        """How many values come out before the parser fails: as many as the first time."""
        count = 0
        with self.path.open("rb") as file:
            try:
                for _ in ijson_backend.items(self._quiet_text(file), prefix, use_float=True, buf_size=CHUNK):
                    count += 1
            except PARSER_ERRORS:
                pass
        return count

    def _turn_on_mending(self, error: Exception, position: int) -> bool:
        """Whether the parser, which has read up to `position`, may have stumbled over a number that can be mended."""
        if self._mends_numbers:
            return False
        with self.path.open("rb") as file:
            file.seek(max(0, position - 2 * CHUNK))
            around = file.read(2 * CHUNK)
        self._mends_numbers = "overflow" in str(error) or any(word in around for word in NUMBER_WORDS)
        return self._mends_numbers

    def _refusal(self, error: Exception, rows: int) -> ImportRefused:
        offset = self._error_offset()
        with self.path.open("rb") as file:
            file.seek(max(0, offset - 30))
            before, after = file.read(min(30, offset)), file.read(30)
        after_row = f", after row {rows:,}" if rows else ""
        where = f"byte {offset:,} of {self.size:,}{after_row}"
        message, remedy = _in_words(error, before, after)
        return ImportRefused(message, where=where, remedy=remedy)

    def _error_offset(self) -> int:
        """The byte at which the parser stops, found by feeding fresh ones ever smaller steps."""
        good = 0
        for step in STEPS:
            good = self._last_good(good, step)
        return good

    def _last_good(self, known_good: int, step: int) -> int:
        """The byte before which a parser takes everything, as far as steps of that size tell."""
        parser = _fresh_parser()
        with self.path.open("rb") as file:
            text = self._quiet_text(file)
            while piece := text.read():
                near = max(0, min(known_good - text.piece_start, len(piece)))
                if near and not _takes(parser, piece[:near]):
                    return text.piece_start
                for start in range(near, len(piece), step):
                    if not _takes(parser, piece[start : start + step]):
                        return text.piece_start + start
        return self.size


def refuse_what_is_no_text(path: Path) -> None:
    """Raises ImportRefused for a file that is empty, compressed or in a wide encoding."""
    with path.open("rb") as file:
        head = file.read(CHUNK)
        is_all = len(head) < CHUNK
    if is_all and not head.removeprefix(UTF8_MARK).strip():
        raise ImportRefused("The file is empty.", where="byte 0", remedy="Export it again.")
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise ImportRefused(f"The file is compressed ({name}).", where="byte 0", remedy="Unpack it first.")
    if head.startswith(WIDE_TEXT):
        raise ImportRefused("The file is in a wrong encoding (UTF-16 or UTF-32).", where="byte 0", remedy="Save it as UTF-8.")


def _in_words(error: Exception, before: bytes, after: bytes) -> tuple[str, str]:
    """What is wrong, and how to mend it, from the bytes around the error."""
    if isinstance(error, ijson.IncompleteJSONError) and not after:
        return "The file is cut short: it ends in the middle.", "Copy or export it again."
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "The file is not valid UTF-8.", "Save it as UTF-8."
    if not _begins_with_a_character(after):
        return "The file is no text, or in a wrong encoding.", "Check that it is the JSON file; save it as UTF-8."
    if after.startswith(b"\0"):
        return "The file holds NUL bytes: it is no text, or in a wrong encoding.", "Copy it again, or save it as UTF-8."
    snippet = (before + b" >>> " + after).decode("utf-8", "replace")
    if "trailing garbage" in str(error):
        remedy = "One file holds one JSON value; lines of JSON belong into one list, with commas between them."
        return f"The JSON ends, and the file goes on: {snippet}", remedy
    return f"The file is not valid JSON near: {snippet}", "Correct that place, or export the file again."


def _begins_with_a_character(piece: bytes) -> bool:
    return piece.decode("utf-8", "replace")[:1] != "\N{REPLACEMENT CHARACTER}"


def _top_level(events: Iterator[tuple[str, Any]]) -> tuple[str, dict[str, str]]:
    kinds = {"start_array": "array", "start_map": "object"}
    event, _ = next(events)
    kind = kinds.get(event, "value")
    keys: dict[str, str] = {}
    if kind != "object":
        return kind, keys
    depth, key = 0, ""
    for event, value in events:
        if depth == 0 and event == "map_key":
            key = value
        elif depth == 0 and event != "end_map":
            keys[key] = kinds.get(event, "value")
        depth += event.startswith("start_") - event.startswith("end_")
    return kind, keys


class _Sink:
    def send(self, event: Any) -> None:
        """Events do not matter here, only whether the parser goes on."""


def _fresh_parser() -> Any:
    return ijson_backend.basic_parse_coro(_Sink(), use_float=True)


def _takes(parser: Any, piece: bytes) -> bool:
    try:
        parser.send(piece)
    except (*PARSER_ERRORS, StopIteration):
        return False
    return True
