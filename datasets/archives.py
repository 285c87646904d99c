"""ZIP archives from strangers: unpacked only inside the folder given, within bounds, plain files only. Pure."""

import errno
import lzma
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from datasets.importers.problems import ImportRefused

PIECE = 1024 * 1024
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")
# Text packs well; only what unpacks to more than this is held against the ratio.
RATIO_COUNTS_FROM = 100 * 1024 * 1024
# Bytes: of a path as a whole, and of one part of it, as file systems take them.
LONGEST_PATH, LONGEST_PART = 1_000, 255
DEEPEST = 50
KNOWN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DRIVE = re.compile(r"[A-Za-z]:")
UTF8_FLAG = 0x800
ENTRY_MARK = b"PK\x01\x02"
END_MARK, END64_MARK = b"PK\x05\x06", b"PK\x06\x06"
# The end of an archive: its fixed part and the longest comment.
END_LENGTH = 22 + 65_535
DAMAGED = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError,
    RuntimeError, UnicodeError, ValueError, OverflowError,
)  # fmt: skip


def extract_zip(
    path: Path,
    target: Path,
    *,
    max_files: int,
    max_bytes: int,
    max_ratio: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Unpack the plain files below `target`; returns how many. Bytes are counted as they come out, whatever the archive says.

    Raises ImportRefused for paths that leave the folder, links and other special files, encryption, unknown compression,
    archives that are damaged or grow past the bounds (files, bytes, unpacked / packed).
    """
    try:
        # Macs double every file by an entry of their own, which is left out below.
        _check_count(_count_entries(path) // 3, max_files)
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_junk(entry.filename)]
            if not entries:
                raise _refused("The archive holds no files.", remedy="Pack the data set again.")
            _check_count(len(entries), max_files)
            files = list(zip(entries, _checked_names(entries), strict=True))
            _extract(archive, files, target, max_bytes, max_ratio * path.stat().st_size, progress)
    except DAMAGED as error:
        raise _refused(
            f"The archive is damaged or of an unknown kind ({error}).", remedy="Pack it again as a plain ZIP."
        ) from None
    except OSError as error:
        remedy = "Make room on the disk." if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Pack it again as a plain ZIP."
        raise _refused(f"The archive cannot be unpacked ({error.strerror or error}).", remedy=remedy) from None
    return len(entries)


def _count_entries(path: Path) -> int:
    """About how many entries the archive's directory lists, before anything is made of them: each costs half a kilobyte."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - END_LENGTH))
        end = file.read()
        at = end.rfind(END_MARK)
        if at < 0 or len(end) - at < 22:
            return 0
        length = int(struct.unpack_from("<L", end, at + 12)[0])
        at64 = end.rfind(END64_MARK)
        if length == 0xFFFFFFFF and at64 >= 0 and len(end) - at64 >= 48:
            length = int(struct.unpack_from("<Q", end, at64 + 40)[0])
        file.seek(max(0, size - END_LENGTH - length))
        return sum(piece.count(ENTRY_MARK) for piece in iter(lambda: file.read(PIECE), b""))


def _check_count(count: int, max_files: int) -> None:
    if count > max_files:
        raise _refused(
            f"The archive holds {count:,} files, more than {max_files:,}.",
            remedy="Import it in parts, or a folder on the server.",
        )


def _extract(
    archive: zipfile.ZipFile,
    files: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    target: Path,
    max_bytes: int,
    ratio_bytes: int,
    progress: Callable[[int, int], None],
) -> None:
    most = min(max_bytes, max(ratio_bytes, RATIO_COUNTS_FROM))
    total = sum(entry.file_size for entry, _ in files)
    written = 0
    for entry, name in files:
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, destination.open("xb") as file:
            while piece := source.read(PIECE):
                written += len(piece)
                if written > most:
                    raise _refused(
                        f"The archive unpacks to more than {most // 1024**2:,} MB; it looks like a bomb.",
                        where=entry.filename,
                        remedy="Import a folder on the server, or raise TOUCHSTONE_MAX_ARCHIVE_MB.",
                    )
                file.write(piece)
                progress(written, total)


def _checked_names(entries: Iterable[zipfile.ZipInfo]) -> list[PurePosixPath]:
    names: list[PurePosixPath] = []
    seen: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = _safe_name(entry)
        folded = unicodedata.normalize("NFC", str(name))
        if folded in seen:
            raise _refused("The archive holds the same file twice.", where=entry.filename, remedy="Pack it again.")
        seen.add(folded)
        folders.update(unicodedata.normalize("NFC", str(parent)) for parent in name.parents)
        names.append(name)
    if both := seen & folders:
        raise _refused("A path in the archive is a file and a folder.", where=min(both), remedy="Pack it again.")
    return names


def _safe_name(entry: zipfile.ZipInfo) -> PurePosixPath:
    text = _decoded(entry).replace("\\", "/")
    name = PurePosixPath(text)
    if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in text or DRIVE.match(text):
        raise _refused("A path in the archive leads out of it.", where=text, remedy="Pack it again with relative paths.")
    lengths = [len(part.encode("utf-8", "replace")) for part in name.parts]
    if max(lengths) > LONGEST_PART or sum(lengths) > LONGEST_PATH or len(lengths) > DEEPEST:
        raise _refused("A path in the archive is too long.", where=text[:80], remedy="Shorten it.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind and not stat.S_ISREG(kind):
        raise _refused("The archive holds a link or another special file.", where=text, remedy="Pack the files themselves.")
    if entry.flag_bits & 0x1:
        raise _refused("The archive is encrypted.", where=text, remedy="Pack it without a password.")
    if entry.compress_type not in KNOWN_METHODS:
        raise _refused("The archive uses a compression that is not supported.", where=text, remedy="Pack it with 'deflate'.")
    return name


def _decoded(entry: zipfile.ZipInfo) -> str:
    """The name as UTF-8 where it is that: many tools write it so without saying so, and cp437 is read instead."""
    if entry.flag_bits & UTF8_FLAG or entry.filename.isascii():
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _is_junk(name: str) -> bool:
    return any(part in JUNK for part in PurePosixPath(name.replace("\\", "/")).parts)


def _refused(message: str, *, where: str = "", remedy: str = "") -> ImportRefused:
    return ImportRefused(message, where=where, remedy=remedy)
