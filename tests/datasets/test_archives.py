import io
import os
import random
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from datasets.archives import extract_zip
from datasets.importers.problems import ImportRefused


def unpack(path: Path, target: Path, *, max_files: int = 100, max_bytes: int = 10**9, max_ratio: int = 200) -> list[str]:
    extract_zip(path, target, max_files=max_files, max_bytes=max_bytes, max_ratio=max_ratio)
    return sorted(str(file.relative_to(target)) for file in target.rglob("*") if file.is_file())


def archive(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def entry(name: str, *, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_plain_files_come_out_whole(tmp_path: Path, method: int) -> None:
    path = archive(tmp_path / "a.zip", {"images/1.jpg": b"one", "labels.csv": b"two" * 1000}, method)
    assert unpack(path, tmp_path / "out") == ["images/1.jpg", "labels.csv"]
    assert (tmp_path / "out" / "labels.csv").read_bytes() == b"two" * 1000


def test_what_macs_and_windows_add_is_left_out(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": b"", "__MACOSX/._a.txt": b"x", "b/.DS_Store": b"x", "b/Thumbs.db": b"x"})
    assert unpack(path, tmp_path / "out") == ["a.txt"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "c:evil", "a/..", "."])
def test_a_path_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImportRefused, match="leads out") as refused:
        unpack(archive(tmp_path / "a.zip", {"fine": b"", name: b"x"}), tmp_path / "out")
    assert refused.value.remedy
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "out" / "fine").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(entry("way-out", mode=kind | 0o777), "/etc/passwd")
    with pytest.raises(ImportRefused, match="link or another special file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_bomb_is_stopped_by_what_comes_out_of_it(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros": bytes(3_000_000)})
    with pytest.raises(ImportRefused, match="bomb"):
        unpack(path, tmp_path / "out", max_bytes=1_000_000)
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*")) <= 2_000_000


def test_a_bomb_that_lies_about_its_size_is_stopped(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros": bytes(3_000_000)})
    content = path.read_bytes().replace(struct.pack("<L", 3_000_000), struct.pack("<L", 10))
    path.write_bytes(content)
    with pytest.raises(ImportRefused):
        unpack(path, tmp_path / "out", max_bytes=1_000_000)
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*")) <= 2_000_000


def test_the_ratio_counts_for_what_is_large(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros": bytes(110 * 1024 * 1024)})
    with pytest.raises(ImportRefused, match="more than 100 MB"):
        unpack(path, tmp_path / "out")


def test_many_files_are_refused_before_any_comes_out(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {f"{n}": b"" for n in range(101)})
    with pytest.raises(ImportRefused, match="101 files, more than 100"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_of_millions_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", {f"{n}": b"" for n in range(400)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(ImportRefused, match="more than 100"):
        unpack(path, tmp_path / "out")


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("a.txt", "two")
    with pytest.raises(ImportRefused, match="twice"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="a file and a folder"):
        unpack(archive(tmp_path / "a.zip", {"a": b"", "a/b": b""}), tmp_path / "out")


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["x" * 100] * 20), "/".join("x" * 60)])
def test_a_path_too_long_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImportRefused, match="too long"):
        unpack(archive(tmp_path / "a.zip", {name: b""}), tmp_path / "out")


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": b"secret"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match="encrypted"):
        unpack(path, tmp_path / "out")


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": b"x"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for at in (8, content.index(b"PK\x01\x02") + 10):
        content[at : at + 2] = struct.pack("<H", 98)
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match="compression"):
        unpack(path, tmp_path / "out")


def test_an_archive_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no files"):
        unpack(archive(tmp_path / "a.zip", {}), tmp_path / "out")


def test_utf8_names_are_read_as_such_though_no_flag_says_so(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"aa.txt": b"x"})
    path.write_bytes(path.read_bytes().replace(b"aa.txt", "ä.txt".encode()))
    assert unpack(path, tmp_path / "out") == ["ä.txt"]


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.bin": os.urandom(10_000)})
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(ImportRefused, match="damaged"):
        unpack(path, tmp_path / "out")


def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as writer:
        for number, method in enumerate([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]):
            writer.writestr(f"folder/{number}.txt", b"hello" * 50, method)
    chance = random.Random(7)
    for number in range(400):
        content = bytearray(packed.getvalue())
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / "a.zip").write_bytes(content)
        try:
            unpack(tmp_path / "a.zip", tmp_path / "out" / str(number))
        except ImportRefused as refused:
            assert refused.remedy
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zip", "out"}


def test_progress_is_told_as_bytes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = archive(tmp_path / "a.zip", {"a": bytes(3_000_000), "b": b"x"})
    limits = {"max_files": 10, "max_bytes": 10**9, "max_ratio": 200}
    assert extract_zip(path, tmp_path / "out", progress=lambda *step: told.append(step), **limits) == 2
    assert told[-1] == (3_000_001, 3_000_001)
    assert len(told) >= 3
