"""JSON text on its way to the parser: its nesting watched, and numbers mended that the parser has no room for. Pure.

ijson's paths grow with the square of the depth, so a few megabytes of brackets would cost gigabytes. Python writes NaN and
Infinity, which JSON does not know, and the parser gives up on numbers past 64 bits: one such value must not cost the file.
"""

import math
import re
from collections.abc import Callable
from typing import BinaryIO

from datasets.importers.problems import ImportRefused

CHUNK = 64 * 1024
PROGRESS_EVERY = 1024 * 1024
DEEPEST = 200
LONGEST_TEXT = 16 * 1024 * 1024
UTF8_MARK = b"\xef\xbb\xbf"

NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{}')
ESCAPED = re.compile(rb"\\.", re.DOTALL)
QUOTED = re.compile(rb'"[^"]*+"?')
STRING = rb'"(?:[^"\\]++|\\.)*+"?'
TOKENS = re.compile(STRING + rb"|[\[\]{}]", re.DOTALL)
# From 19 characters or three digits of exponent on a number may be too large; most are passed over.
LONG_NUMBER = rb"(?<![\w.+-])-?\d(?:[\d.]{18,}[\d.eE+-]*|[\d.]*[eE]\+?\d{3,})"
TO_MEND = re.compile(STRING + rb"|-?\b(?:NaN|Infinity)\b|" + LONG_NUMBER, re.DOTALL)
WORD_CHARACTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-"


class GuardedText:
    """A file for the parser to read. `position` is the byte after what was read so far, `piece_start` the last piece's first."""

    def __init__(self, file: BinaryIO, size: int, progress: Callable[[int, int], None], *, mends_numbers: bool) -> None:
        self.file, self.size, self.progress, self.mends_numbers = file, size, progress, mends_numbers
        self.position = self.piece_start = self._reported = 0
        self._depth = self._text_length = 0
        self._in_string = self._is_escaped = False
        self._held_back = b""

    def read(self, length: int = -1) -> bytes:
        """The next piece, empty at the end. Raises ImportRefused for what is nested too deep."""
        # The parser probes with read(0) whether it is given bytes.
        if length == 0:
            return b""
        chunk = self.file.read(CHUNK)
        is_first, self.position = not self.position, self.position + len(chunk)
        self._report(at_end=not chunk)
        if is_first:
            chunk = chunk.removeprefix(UTF8_MARK)
        opening = (b'"' + b"\\" * self._is_escaped) if self._in_string else b""
        self._watch(chunk, opening)
        piece = self._mended(chunk, opening) if self.mends_numbers else chunk
        self.piece_start = self.position - len(self._held_back) - len(piece)
        return piece

    def _report(self, *, at_end: bool) -> None:
        if at_end or self.position - self._reported >= PROGRESS_EVERY:
            self._reported = self.position
            self.progress(self.position, self.size)

    def _watch(self, chunk: bytes, opening: bytes) -> None:
        """Follow strings and nesting: quotes and brackets alone say it, and innermost pairs cancel out.

        `opening` stands for the string, and the backslash, that the chunk begins in.
        """
        marks = opening[:1] + self._without_escapes(chunk).translate(None, NOT_STRUCTURE)
        self._watch_text(len(chunk) if self._in_string and marks.count(b'"') == 1 else 0)
        # Two quotes side by side are an empty string, or the seam of two: what lies around them is in or out as before.
        marks = marks.replace(b'""', b"")
        self._in_string = marks.count(b'"') % 2 == 1
        if b'"' in marks:
            marks = QUOTED.sub(b"", marks)
        rounds, before = 0, -1
        while len(marks) != before and rounds < DEEPEST // 2:
            before, rounds = len(marks), rounds + 1
            marks = marks.replace(b"[]", b"").replace(b"{}", b"")
        opened = marks.count(b"[") + marks.count(b"{")
        # Each round took out two levels at most.
        if self._depth + opened + 2 * rounds > DEEPEST:
            self._look_closely(chunk, opening)
        self._depth += 2 * opened - len(marks)

    def _watch_text(self, more: int) -> None:
        """The parser reads a text anew with every piece, so one of a gigabyte would keep it busy for hours."""
        self._text_length = self._text_length + more if more else 0
        if self._text_length > LONGEST_TEXT:
            raise ImportRefused(
                f"The file holds a text of more than {LONGEST_TEXT // 1024**2} MB.",
                where=f"byte {self.position - self._text_length:,}",
                remedy="Leave out what is no label, such as images inside the JSON.",
            )

    def _without_escapes(self, chunk: bytes) -> bytes:
        plain = chunk[1:] if self._is_escaped else chunk
        if b"\\" in plain:
            plain = ESCAPED.sub(b"", plain)
        self._is_escaped = plain.endswith(b"\\")
        return plain

    def _look_closely(self, chunk: bytes, opening: bytes) -> None:
        depth = self._depth
        for token in TOKENS.finditer(opening + chunk):
            mark = token.group()[:1]
            depth += (mark in b"[{") - (mark in b"]}")
            if depth > DEEPEST:
                raise ImportRefused(
                    f"The file is nested more than {DEEPEST} levels deep.",
                    where=f"byte {self.position - len(chunk) + token.start() - len(opening):,}",
                    remedy="No format of labels needs that; check where the file comes from.",
                )

    def _mended(self, chunk: bytes, opening: bytes) -> bytes:
        """The chunk with what is no number to JSON as empty text of the same length; an open word waits for its rest."""
        text, self._held_back = self._held_back + chunk, b""
        if chunk and not self._in_string:
            closed = len(text.rstrip(WORD_CHARACTERS))
            text, self._held_back = text[:closed], text[closed:]
        if len(self._held_back) > CHUNK:
            raise ImportRefused(
                f"The file holds a number of more than {CHUNK:,} characters.",
                where=f"byte {self.position - len(self._held_back):,}",
                remedy="Find out why the model or tool wrote it.",
            )
        piece = TO_MEND.sub(_as_json, opening + text).removeprefix(opening)
        # An empty piece would be the end to the parser.
        return piece or (self.read() if chunk else b"")


def _as_json(found: re.Match[bytes]) -> bytes:
    word = found.group()
    return word if word.startswith(b'"') or _fits(word) else b'""'.ljust(len(word))


def _fits(word: bytes) -> bool:
    """Whether the parser takes the number: whole ones within 64 bits, others within a double."""
    if word.endswith((b"NaN", b"Infinity")):
        return False
    try:
        if word.removeprefix(b"-").isdigit():
            return len(word) <= 20 and abs(int(word)) < 2**63
        return abs(float(word)) != math.inf
    except ValueError:
        return True
