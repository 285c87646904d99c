"""JSON as a stream: rows come out one by one, and every failure says what is wrong and at which byte. Pure.

On top of ijson: refusal of what is not JSON text at all (compressed, UTF-16, empty), a guard against deep nesting (ijson's
paths grow with the square of the depth), NaN and Infinity as Python writes them, and the byte of an error.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from datasets.importers.problems import ImportRefused

ijson_backend = ijson.get_backend("yajl2_c")

CHUNK = 64 * 1024
PROGRESS_EVERY = 1024 * 1024
DEEPEST = 200

COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}
WIDE_TEXT = (b"\xff\xfe", b"\xfe\xff", b"\x00{", b"\x00[", b"{\x00", b"[\x00")
UTF8_MARK = b"\xef\xbb\xbf"

NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
ESCAPED = re.compile(rb"\\.", re.DOTALL)
NOT_JSON_NUMBERS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b', re.DOTALL)
NUMBER_WORDS = (b"NaN", b"Infinity", b"-Infinity")


class JsonStream:
    """A JSON file that may be read several times, each time as a stream."""

    def __init__(self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        self.path, self.progress = path, progress
        self.size = path.stat().st_size
        self._has_number_words = False
        _refuse_what_is_no_text(path, self.size)

    def items(self, prefix: str) -> Iterator[Any]:
        """The values under the prefix (ijson's notation), floats as floats. Raises ImportRefused."""
        with self.path.open("rb") as file:
            reader = self._reader(file)
            done = 0
            try:
                for value in ijson_backend.items(reader, prefix, use_float=True, buf_size=CHUNK):
                    yield value
                    done += 1
            except (ijson.JSONError, ValueError, OverflowError, RecursionError) as error:
                if not self._turn_on_number_words(reader.position):
                    raise self._refusal(error, done) from error
            else:
                return
        # The file holds NaN or Infinity: the same rows again, those passed over, with such words read as empty text.
        for index, value in enumerate(self.items(prefix)):
            if index >= done:
                yield value

    def top_level(self) -> tuple[str, dict[str, str]]:
        """What the file is ("array", "object", or another kind of value) and, of an object, its keys with their kinds."""
        with self.path.open("rb") as file:
            reader = self._reader(file)
            try:
                return _top_level(ijson_backend.basic_parse(reader, use_float=True, buf_size=CHUNK))
            except (ijson.JSONError, ValueError, OverflowError) as error:
                if self._turn_on_number_words(reader.position):
                    return self.top_level()
                raise self._refusal(error, None) from error

    def kind(self) -> str:
        """ "array", "object" or another kind of value, from the first bytes alone."""
        with self.path.open("rb") as file:
            first = file.read(CHUNK).removeprefix(UTF8_MARK).lstrip()[:1]
        return {b"[": "array", b"{": "object"}.get(first, "value")

    def _reader(self, file: BinaryIO) -> "_GuardedReader":
        return _GuardedReader(file, self.size, self.progress, mend_numbers=self._has_number_words)

    def _turn_on_number_words(self, position: int) -> bool:
        """Whether the parser stumbled over NaN or Infinity; from now on these are read as empty text."""
        if self._has_number_words:
            return False
        with self.path.open("rb") as file:
            offset = _error_offset(file, self.size, position)
            file.seek(max(0, offset - 12))
            around = file.read(24)
        self._has_number_words = any(word in around for word in NUMBER_WORDS)
        return self._has_number_words

    def _refusal(self, error: Exception, rows: int | None) -> ImportRefused:
        with self.path.open("rb") as file:
            reader = _GuardedReader(file, self.size, lambda done, total: None, mend_numbers=self._has_number_words)
            offset = _error_offset(reader, self.size, self.size)
            file.seek(max(0, offset - 30))
            before, after = file.read(min(30, offset)), file.read(30)
        after_row = f", after row {rows:,}" if rows else ""
        where = f"byte {offset:,} of {self.size:,}{after_row}"
        if isinstance(error, ijson.IncompleteJSONError) and offset >= self.size:
            return ImportRefused(
                "The file is cut short: it ends in the middle.", where=where, remedy="Copy or export it again."
            )
        snippet = (before + b" >>> " + after).decode("utf-8", "replace")
        if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
            return ImportRefused("The file is not valid UTF-8.", where=where, remedy="Save it as UTF-8.")
        return ImportRefused(
            f"The file is not valid JSON near: {snippet}", where=where, remedy="Correct that place, or export the file again."
        )


def _refuse_what_is_no_text(path: Path, size: int) -> None:
    with path.open("rb") as file:
        head = file.read(8)
    if not head.removeprefix(UTF8_MARK).strip() and size <= len(head):
        raise ImportRefused("The file is empty.", where="byte 0", remedy="Export it again.")
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise ImportRefused(f"The file is compressed ({name}), not JSON.", where="byte 0", remedy="Unpack it first.")
    if head.startswith(WIDE_TEXT):
        raise ImportRefused("The file is in a wrong encoding (UTF-16 or UTF-32).", where="byte 0", remedy="Save it as UTF-8.")


class _GuardedReader:
    """Hands the file's bytes to the parser: counts them, watches the nesting, mends what JSON has no word for."""

    def __init__(self, file: BinaryIO, size: int, progress: Callable[[int, int], None], *, mend_numbers: bool) -> None:
        self.file, self.size, self.progress, self.mend_numbers = file, size, progress, mend_numbers
        self.position = self._reported = 0
        self._balance = 0
        self._in_string = self._is_escaped = False
        self._rest = b""

    def read(self, length: int = -1) -> bytes:
        # The parser probes with read(0) whether it is given bytes.
        if length == 0:
            return b""
        chunk = self.file.read(CHUNK)
        if not self.position:
            chunk = chunk.removeprefix(UTF8_MARK)
        self.position = self.file.tell()
        self._watch_depth(chunk)
        if self.position - self._reported >= PROGRESS_EVERY or not chunk:
            self._reported = self.position
            self.progress(self.position, self.size)
        return self._mended(chunk) if self.mend_numbers else chunk

    def _watch_depth(self, chunk: bytes) -> None:
        """Cheap: what is left of the brackets once the innermost pairs are taken out says how deep it may be."""
        brackets = chunk.translate(None, NOT_BRACKETS)
        for _ in range(4):
            brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        change = brackets.count(b"[") + brackets.count(b"{") - brackets.count(b"]") - brackets.count(b"}")
        if len(brackets) <= DEEPEST // 2 and abs(self._balance + change) <= DEEPEST // 2:
            self._balance += change
        else:
            # Deep, or brackets inside strings: look closely.
            self._balance = self._depth_after(chunk)
        self._note_quotes(chunk)

    def _note_quotes(self, chunk: bytes) -> None:
        """Whether the chunk ends within a string, and with a backslash that escapes what follows."""
        plain = chunk[1:] if self._is_escaped else chunk
        if b"\\" in plain:
            plain = ESCAPED.sub(b"", plain)
        self._is_escaped = plain.endswith(b"\\")
        self._in_string ^= plain.count(b'"') % 2 == 1

    def _depth_after(self, chunk: bytes) -> int:
        """The depth at the end of the chunk, strings left out. Raises ImportRefused where it is too deep within."""
        depth = self._balance
        start = b'"' + b"\\" * self._is_escaped if self._in_string else b""
        for token in TOKENS.finditer(start + chunk):
            mark = token.group()[:1]
            depth += (mark in b"[{") - (mark in b"]}")
            if depth > DEEPEST:
                raise ImportRefused(
                    f"The file is nested more than {DEEPEST} levels deep.",
                    where=f"byte {self.position - len(chunk) + token.start():,}",
                    remedy="No format of labels needs that; check where the file comes from.",
                )
        return depth

    def _mended(self, chunk: bytes) -> bytes:
        """NaN and Infinity outside of strings become empty text of the same length. A string or word may span chunks."""
        text = self._rest + chunk
        if chunk:
            cut = _safe_cut(text)
            text, self._rest = text[:cut], text[cut:]
        else:
            self._rest = b""
        mended = NOT_JSON_NUMBERS.sub(_as_empty_text, text)
        return mended if mended or not chunk else self.read(CHUNK)


def _as_empty_text(found: re.Match[bytes]) -> bytes:
    word = found.group()
    return word if word.startswith(b'"') else b'""'.ljust(len(word))


def _safe_cut(text: bytes) -> int:
    """A place where no string and no word is open: after the last comma or bracket outside of strings."""
    last = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"?|[,\[\]{}]', text, re.DOTALL):
        if token.group()[:1] != b'"':
            last = token.end()
    return last


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


def _error_offset(file: Any, size: int, position: int) -> int:
    """The byte at which the parser stops, found by feeding a fresh one: chunks first, then byte by byte."""
    file = getattr(file, "file", file)
    file.seek(0)
    good = 0
    parser = _fresh_parser()
    while good < size:
        chunk = file.read(CHUNK)
        try:
            parser.send(chunk)
        except (ijson.JSONError, ValueError, OverflowError, StopIteration):
            return _offset_within(file, good)
        good += len(chunk)
    return size


def _offset_within(file: BinaryIO, start: int) -> int:
    """Byte by byte through the chunk that failed, with a parser that has seen all before it."""
    parser = _fresh_parser()
    file.seek(0)
    done = 0
    while done < start:
        piece = file.read(min(CHUNK, start - done))
        parser.send(piece)
        done += len(piece)
    for index, byte in enumerate(file.read(CHUNK)):
        try:
            parser.send(bytes([byte]))
        except (ijson.JSONError, ValueError, OverflowError, StopIteration):
            return start + index
    return start


class _Sink:
    def send(self, event: Any) -> None:
        """Events do not matter here, only whether the parser goes on."""


def _fresh_parser() -> Any:
    return ijson_backend.basic_parse_coro(_Sink(), use_float=True)
