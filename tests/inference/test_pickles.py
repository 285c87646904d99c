"""Weights are inspected, not loaded: what hostile files name is found, and nothing of theirs ever runs."""

import builtins
import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from inference import pickles
from inference.pickles import STATE_DICTS, ULTRALYTICS, Inspection, inspect

MAGIC = 0x1950A86A20F9469CFC6C


class Calls:
    """Unpickled, it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def archive(path: Path, *entries: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def in_zip(tmp_path: Path, program: bytes) -> Path:
    return archive(tmp_path / "weights.pt", ("weights/data.pkl", program), ("weights/version", b"3\n"))


def judged(tmp_path: Path, program: bytes, allowed: pickles.Allowed = ULTRALYTICS) -> Inspection:
    return inspect(in_zip(tmp_path, program), allowed)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that a payload would make."""
    return tmp_path / "it-ran"


def test_tensors_and_plain_values_are_harmless(tmp_path: Path) -> None:
    content = collections.OrderedDict(a=[1, 2.5, None, True, "text", b"bytes", (1, 2), {3}])
    assert judged(tmp_path, pickle.dumps(content, 2), STATE_DICTS).is_harmless


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_system_call_is_found_in_every_protocol(tmp_path: Path, marker: Path, protocol: int) -> None:
    found = judged(tmp_path, pickle.dumps({"model": Calls(os.system, f"touch {marker}")}, protocol))
    assert not found.is_harmless and any(name.endswith(".system") for name in found.refused)
    assert not marker.exists()


@pytest.mark.parametrize("function", [eval, exec, open, __import__, compile, getattr, setattr, pickle.loads, builtins.print])
def test_builtins_are_refused(tmp_path: Path, marker: Path, function: Any) -> None:
    found = judged(tmp_path, pickle.dumps(Calls(function, f"open({str(marker)!r}, 'w')"), 2))
    assert found.refused and not marker.exists()


def test_a_name_put_together_on_the_stack_is_refused(tmp_path: Path) -> None:
    # The module's name is what `b"posix".decode()` would give: no constant.
    program = (
        b"\x80\x04" + b"c_codecs\nencode\n" + b"\x8c\x05posix\x8c\x05ascii\x86R" + b"\x8c\x06system\x93" + b"\x8c\x02id\x85R."
    )
    assert "a name that is computed while loading" in judged(tmp_path, program).refused


def test_a_name_from_the_memo_is_seen(tmp_path: Path) -> None:
    program = b"\x80\x04\x8c\x05posix\x940\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R."
    assert judged(tmp_path, program).refused == ("posix.system",)


def test_names_swapped_on_the_stack_are_followed(tmp_path: Path) -> None:
    """Scanners that take the last two texts see `collections.OrderedDict`; the machine takes what lies on the stack."""
    program = b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x0bcollections0\x8c\x0bOrderedDict0\x93\x8c\x02id\x85R."
    assert judged(tmp_path, program).refused == ("posix.system",)


def test_a_chain_of_getattr_is_refused(tmp_path: Path) -> None:
    chain = b"\x80\x02cbuiltins\ngetattr\n" + b"ctorch.nn.modules.linear\nLinear\n" + b"X\x08\x00\x00\x00__init__\x86R."
    assert judged(tmp_path, chain).refused == ("builtins.getattr of something that is computed while loading",)


def test_getattr_of_what_getattr_gave_is_refused(tmp_path: Path) -> None:
    inner = b"cbuiltins\ngetattr\nctorch.nn.modules.linear\nLinear\nX\x07\x00\x00\x00forward\x86R"
    program = b"\x80\x02cbuiltins\ngetattr\n" + inner + b"X\x04\x00\x00\x00name\x86R."
    assert judged(tmp_path, program).refused


def test_a_forward_reached_by_getattr_is_what_models_hold(tmp_path: Path) -> None:
    program = b"\x80\x02cbuiltins\ngetattr\ncultralytics.nn.modules.head\nDetect\nX\x07\x00\x00\x00forward\x86R."
    assert judged(tmp_path, program).is_harmless


def test_calling_what_getattr_gave_is_refused(tmp_path: Path) -> None:
    program = b"\x80\x02cbuiltins\ngetattr\ncultralytics.nn.modules.head\nDetect\nX\x07\x00\x00\x00forward\x86R)R."
    assert judged(tmp_path, program).refused == ("a call of something that is computed while loading",)


def test_a_models_constructor_is_never_called(tmp_path: Path) -> None:
    """It would read a file and fetch weights; models are made empty and filled."""
    program = b"\x80\x02cultralytics.nn.tasks\nDetectionModel\nX\x08\x00\x00\x00evil.yml\x85R."
    assert judged(tmp_path, program).refused == ("a call of ultralytics.nn.tasks.DetectionModel",)


def test_a_model_made_empty_is_harmless(tmp_path: Path) -> None:
    assert judged(tmp_path, b"\x80\x02cultralytics.nn.tasks\nDetectionModel\n)\x81}b.").is_harmless


@pytest.mark.parametrize("change", [b"}b.", b"X\x01\x00\x00\x00aa.", b"X\x01\x00\x00\x00aX\x01\x00\x00\x00bs."])
def test_changing_a_class_is_refused(tmp_path: Path, change: bytes) -> None:
    found = judged(tmp_path, b"\x80\x02ctorch.nn.modules.linear\nLinear\n" + change)
    assert found.refused == ("changes torch.nn.modules.linear.Linear",)


@pytest.mark.parametrize(
    "name", ["ultralytics.nn.tasks\nattempt_load", "ultralytics.utils.downloads\nsafe_download", "torch\nload", "torch.hub\nload",
             "torch.nn.modules.module\nos", "torch.serialization\nload", "ultralytics.nn.tasks\nyaml_model_load", "numpy\nload",
             "ultralytics.nn.modules.block\nLinear.forward", "pathlib\nPath", "torch\n_C"],
)  # fmt: skip
def test_functions_beside_the_classes_are_refused(tmp_path: Path, name: str) -> None:
    assert judged(tmp_path, b"\x80\x02c" + name.encode() + b"\nX\x01\x00\x00\x00a\x85R.").refused


def test_an_instance_by_name_is_refused(tmp_path: Path, marker: Path) -> None:
    program = b"(S'touch " + str(marker).encode() + b"'\nios\nsystem\n."
    assert judged(tmp_path, program).refused == ("os.system",) and not marker.exists()


def test_an_object_by_class_is_refused(tmp_path: Path) -> None:
    assert judged(tmp_path, b"(cos\nsystem\nS'id'\no.").refused == ("os.system",)


def test_extension_codes_are_refused(tmp_path: Path) -> None:
    assert judged(tmp_path, b"\x80\x02\x82\x01.").refused == ("a name by a number that only this process knows",)


def test_an_unread_pickle_within_is_only_bytes_but_reading_it_is_refused(tmp_path: Path, marker: Path) -> None:
    inner = pickle.dumps(Calls(os.system, f"touch {marker}"))
    assert judged(tmp_path, pickle.dumps({"blob": inner}, 4)).is_harmless
    assert "_pickle.loads" in judged(tmp_path, pickle.dumps(Calls(pickle.loads, inner), 4)).refused
    assert not marker.exists()


# --- Archives --------------------------------------------------------------------------------------------------------
GOOD, BAD = pickle.dumps({}, 2), pickle.dumps(Calls(os.system, "id"), 2)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "entries",
    [
        [("a/data.pkl", GOOD), ("a/data.pkl", BAD)],
        [("a/data.pkl", GOOD), ("a/DATA.pkl", BAD)],
        [("a/data.pkl", GOOD), ("b/data.pkl", BAD)],
        [("a/data.pkl", GOOD), ("a/other.pkl", BAD)],
        [("a/data.pkl", GOOD), ("a/constants.pkl", BAD)],
        [("a/data.pkl", GOOD), ("a/code/x.py", b"")],
        [("a/deep/data.pkl", GOOD)],
        [("a/tensors", b"")],
    ],
)
def test_archives_that_torch_never_writes_are_refused(tmp_path: Path, entries: list[tuple[str, bytes]]) -> None:
    assert inspect(archive(tmp_path / "a.pt", *entries), ULTRALYTICS).problem


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    assert inspect(archive(tmp_path / "a.pt", ("a/data.pkl", GOOD), compression=zipfile.ZIP_DEFLATED), ULTRALYTICS).problem


@pytest.mark.parametrize("place", ["before", "behind"])
def test_an_archive_within_an_archive_is_refused(tmp_path: Path, place: str) -> None:
    good = archive(tmp_path / "good.zip", ("a/data.pkl", GOOD)).read_bytes()
    bad = archive(tmp_path / "bad.zip", ("a/data.pkl", BAD)).read_bytes()
    path = tmp_path / "both.pt"
    path.write_bytes(bad + good if place == "before" else good + b"padding")
    found = inspect(path, ULTRALYTICS)
    assert not found.is_harmless


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x03\x04" + bytes(40), b"\x89PNG", b"\x80", b"garbage" * 20, b"\x80\x02" + b"]" * 9]
)
def test_what_is_no_file_of_weights_is_a_problem_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    assert inspect(path, ULTRALYTICS).problem


def test_a_pickle_that_is_too_long_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MOST_OPCODES", 100)
    assert judged(tmp_path, b"\x80\x02" + b"N0" * 100 + b"N.").problem


# --- Other formats ---------------------------------------------------------------------------------------------------
def legacy(*parts: Any) -> bytes:
    """As torch wrote before 1.6: pickles one after the other."""
    file = io.BytesIO()
    for part in (MAGIC, 1001, {"little_endian": True}, *parts):
        pickle.dump(part, file, 2)
    return file.getvalue()


def test_every_pickle_of_the_old_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    path.write_bytes(legacy({"a": 1}, ["0"]))
    assert inspect(path, STATE_DICTS).is_harmless
    path.write_bytes(legacy({"a": 1}, Calls(os.system, "id")))
    assert inspect(path, STATE_DICTS).refused


def test_safetensors_hold_nothing_to_run(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 2) + b"{}")
    assert inspect(path, STATE_DICTS).is_harmless
    path.write_bytes(struct.pack("<Q", 2**40) + b"{}")
    assert inspect(path, STATE_DICTS).problem


def test_a_whole_model_is_no_state_dict(tmp_path: Path) -> None:
    program = b"\x80\x02cultralytics.nn.tasks\nDetectionModel\n)\x81}b."
    assert judged(tmp_path, program, STATE_DICTS).refused


def test_the_settings_that_a_running_training_keeps_are_harmless(tmp_path: Path) -> None:
    """Its namespace is made by a call without arguments, and filled; checkpoints lose it only when the training ends."""
    program = b"\x80\x02cultralytics.utils\nIterableSimpleNamespace\n)R}X\x05\x00\x00\x00imgszK\x60sb."
    assert judged(tmp_path, program).is_harmless


# --- Files that two readers read differently -------------------------------------------------------------------------
def test_a_pickle_that_begins_like_safetensors_is_read_as_what_loads_it(tmp_path: Path) -> None:
    """Its first eight bytes are the length of a header of JSON in UTF-16; they are the beginning of a program, too."""
    start, end = '{"'.encode("utf-16-le"), '":0}'.encode("utf-16-le")
    skipped = 3 + len(start)
    length = ord("T") + 256 * skipped
    program = start + b"0cos\nsystem\nU\x02id\x85R."
    header = program + b"A" * (length - len(program) - len(end)) + end
    path = tmp_path / "best.pt"
    path.write_bytes(b"T" + skipped.to_bytes(4, "little") + bytes(3) + header)
    assert inspect(path, ULTRALYTICS).refused == ("os.system",)
    assert inspect(path, STATE_DICTS, ".pth").refused == ("os.system",)


def directory(archive: bytes) -> tuple[bytes, bytes]:
    """A ZIP's entries, and its directory."""
    size, offset = struct.unpack("<2L", archive[-10:-2])
    return archive[:offset], archive[offset : offset + size]


def zipped(program: bytes) -> tuple[bytes, bytes]:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as found:
        found.writestr("a/data.pkl", program)
    return directory(file.getvalue())


def test_an_archive_with_a_second_directory_is_refused(tmp_path: Path) -> None:
    """Python reads the directory before the end, torch the one that the 64-bit record names: here another, whose pickle runs."""
    (harmless, shown), (hostile, hidden) = zipped(GOOD), zipped(pickle.dumps(Calls(os.system, "id"), 2))
    hidden = hidden[:42] + struct.pack("<L", len(harmless)) + hidden[46:]
    body = harmless + hostile
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(hidden), len(body))
    body += hidden
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(body), 1)
    body += record
    shown = shown[:32] + struct.pack("<H", len(locator)) + shown[34:] + locator  # as the comment of its entry
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(shown), len(body), 0)
    (path := tmp_path / "best.pt").write_bytes(body + shown + end)
    assert zipfile.ZipFile(path).read("a/data.pkl") == GOOD
    assert "which torch never writes" in inspect(path, ULTRALYTICS).problem


def test_a_directory_that_lies_elsewhere_than_told_is_refused(tmp_path: Path) -> None:
    entries, shown = zipped(GOOD)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(shown), len(entries) + 16, 0)
    shown = shown[:42] + struct.pack("<L", 16) + shown[46:]
    (path := tmp_path / "best.pt").write_bytes(entries + shown + end)
    assert zipfile.ZipFile(path).read("a/data.pkl") == GOOD
    assert inspect(path, ULTRALYTICS).problem
