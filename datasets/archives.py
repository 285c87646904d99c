"""ZIP archives from strangers: unpacked only inside the folder given, within bounds, plain files only. Pure."""

import stat
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from datasets.importers.problems import ImportRefused

PIECE = 1024 * 1024
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")
# Text packs well; only what unpacks to more than this is held against the ratio.
RATIO_COUNTS_FROM = 100 * 1024 * 1024
LONGEST_PATH = 400
KNOWN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


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
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_junk(entry.filename)]
            if len(entries) > max_files:
                raise _refused(
                    f"The archive holds {len(entries):,} files, more than {max_files:,}.", remedy="Import it in parts."
                )
            names = _checked_names(entries)
            _extract(
                archive, list(zip(entries, names, strict=True)), target, max_bytes, max_ratio * path.stat().st_size, progress
            )
    except (zipfile.BadZipFile, EOFError, NotImplementedError, UnicodeError, zipfile.LargeZipFile) as error:
        raise _refused(
            f"The archive is damaged or of an unknown kind ({error}).", remedy="Pack it again as a plain ZIP."
        ) from None
    except OSError as error:
        raise _refused(
            f"The archive cannot be unpacked ({error.strerror or error}).", remedy="Is there room on the disk?"
        ) from None
    return len(entries)


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


def _checked_names(entries: list[zipfile.ZipInfo]) -> list[PurePosixPath]:
    names, seen = [], set()
    for entry in entries:
        name = _safe_name(entry)
        folded = unicodedata.normalize("NFC", str(name))
        if folded in seen:
            raise _refused("The archive holds the same file twice.", where=entry.filename, remedy="Pack it again.")
        seen.add(folded)
        names.append(name)
    return names


def _safe_name(entry: zipfile.ZipInfo) -> PurePosixPath:
    text = entry.filename.replace("\\", "/")
    name = PurePosixPath(text)
    if name.is_absolute() or ".." in name.parts or "\0" in text or ":" in name.parts[0]:
        raise _refused("A path in the archive leads out of it.", where=text, remedy="Pack it again with relative paths.")
    if len(text.encode("utf-8", "replace")) > LONGEST_PATH:
        raise _refused("A path in the archive is too long.", where=text[:80], remedy="Shorten it.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind and not stat.S_ISREG(kind):
        raise _refused("The archive holds a link or another special file.", where=text, remedy="Pack the files themselves.")
    if entry.flag_bits & 0x1:
        raise _refused("The archive is encrypted.", where=text, remedy="Pack it without a password.")
    if entry.compress_type not in KNOWN_METHODS:
        raise _refused("The archive uses a compression that is not supported.", where=text, remedy="Pack it with 'deflate'.")
    return name


def _is_junk(name: str) -> bool:
    return any(part in JUNK for part in PurePosixPath(name.replace("\\", "/")).parts)


def _refused(message: str, *, where: str = "", remedy: str = "") -> ImportRefused:
    return ImportRefused(message, where=where, remedy=remedy)
