"""What loading weights would run, found without loading them.

A pickle is a program for a small stack machine; what it can do to us are the globals that it names and what it calls. Here the
machine runs with every value but names and tuples of them left unknown, so that a name put together on the stack, memoised or
taken from another pickle is seen as it is. What cannot be followed is refused: a wrong guess costs a question, not a server.
"""

import io
import json
import pickletools
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

LARGEST_PICKLE = 64 * 1024**2  # bytes; those of the largest detectors have 3 MB
MOST_OPCODES = 5_000_000
MOST_ENTRIES = 100_000
LARGEST_HEADER = 100 * 1024**2  # of safetensors, as the format itself limits it
LEGACY_PICKLES = 5  # torch before 1.6: a magic number, a version, the system, the object, the keys of the storages
# A ZIP's last records, where it has no comment; those of 64 bits stand before the old one.
END_OF_ZIP, LOCATOR, END_OF_ZIP64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
NOT_IN_32_BITS = 0xFFFFFFFF


# --- What may be named -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Allowed:
    """Names that may be used freely, and classes whose objects may only be made empty and then filled.

    The second are torch modules: their constructors read files and fetch weights, and no pickle of a model ever calls them.
    """

    free: re.Pattern[str]
    empty: re.Pattern[str]


DTYPES = "bool|u?int(8|16|32|64)|float(16|32|64)|bfloat16|complex(64|128)|float8_\\w+|half|double|float|long"
TENSORS = [
    r"collections\.OrderedDict",
    r"(builtins|__builtin__)\.set",
    r"_codecs\.encode",  # how bytes are written for old protocols
    r"torch\._utils\._rebuild_(tensor|tensor_v2|parameter|parameter_with_state)",
    r"torch\.nn\.parameter\.(Parameter|Buffer)",
    r"torch\.(Size|device|[A-Z]\w*Storage)",
    r"torch\.storage\.(TypedStorage|UntypedStorage|_LegacyStorage)",
    rf"torch\.({DTYPES})",
    r"numpy(\._?core\.multiarray\.scalar|\.dtype|\.dtypes\.\w+DType)",
]
MODULES = [
    r"torch\.nn\.modules(\.\w+)?\.[A-Z]\w*",
    r"ultralytics\.nn\.modules(\.\w+)?\.[A-Z]\w*",
    r"ultralytics\.nn\.tasks\.[A-Z]\w*",
    r"ultralytics\.utils\.(loss|tal)\.[A-Z]\w*",
    r"torchvision\.transforms\.transforms\.(Compose|Normalize|Resize|CenterCrop|ToTensor)",
]


def _any_of(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{part})" for part in parts))


# Tensors, and the arguments that trainers keep beside them.
STATE_DICTS = Allowed(_any_of(*TENSORS), _any_of(r"argparse\.Namespace"))
# Whole models of Ultralytics, with the paths they were trained from and, while they train, a namespace of settings, which is called.
ULTRALYTICS = Allowed(
    _any_of(
        *TENSORS,
        r"torchvision\.transforms\.functional\.InterpolationMode",
        r"pathlib(\._local)?\.(Posix|Windows)Path",
        r"ultralytics\.(yolo\.)?utils\.IterableSimpleNamespace",
    ),
    _any_of(*MODULES),
)


@dataclass(frozen=True)
class Inspection:
    """`refused`: what loading would need and is not allowed, in words. `problem`: why the file cannot be judged at all."""

    format: str
    globals: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_harmless(self) -> bool:
        return not self.refused and not self.problem

    def as_json(self) -> dict[str, Any]:
        lists = {"globals": list(self.globals), "refused": list(self.refused)}
        return asdict(self) | lists | {"is_harmless": self.is_harmless}


class Unreadable(Exception):
    """Not a file of its kind, or one that only an attacker would write."""


# --- The machine -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Global:
    name: str


MARK = object()
UNKNOWN = object()
PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
GETS = {"GET", "BINGET", "LONG_BINGET"}
CHANGES = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}
TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass
class Findings:
    globals: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Machine:
    """Runs one pickle with unknown values; notes the globals it names and the calls that are not allowed."""

    def __init__(self, allowed: Allowed, findings: Findings) -> None:
        self.allowed, self.findings = allowed, findings
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, source: BinaryIO) -> None:
        """To its end. Raises Unreadable."""
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(source)):
                if count > MOST_OPCODES:
                    raise Unreadable("It is far longer than the pickle of any model.")
                self._step(opcode, argument)
        except (ValueError, IndexError, KeyError, EOFError, OverflowError, MemoryError) as error:
            raise Unreadable(f"It is no whole pickle ({type(error).__name__}).") from None

    def _step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        if opcode.name in TUPLES:
            self.stack.append(tuple(self._pop(TUPLES[opcode.name])))
        elif opcode.name in PUTS:
            self.memo[int(argument)] = self.stack[-1]
        elif opcode.name in GETS:
            self.stack.append(self.memo[int(argument)])
        elif special := STEPS.get(opcode.name):
            special(self, argument)
        else:
            self._pass_over(opcode, argument)

    def _pass_over(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """An opcode that only moves values: as many go and come as its description says."""
        before = opcode.stack_before
        if pickletools.markobject in before:
            self._pop_to_mark()
            before = before[: before.index(pickletools.markobject)]
        popped = self._pop(len(before))
        if opcode.name in CHANGES and isinstance(popped[0], Global):
            self._refuse(f"changes {popped[0].name}")
        value = argument if opcode.name in TEXTS else UNKNOWN
        self.stack.extend([value] * len(opcode.stack_after))

    def _pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def _pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not MARK:
            values.append(value)
        return values[::-1]

    def _refuse(self, what: str) -> None:
        self.findings.refused[what] += 1

    # --- Names
    def name_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def name_stacked_global(self, _: Any) -> None:
        module, name = self._pop(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            self._refuse("a name that is computed while loading")
            self.stack.append(UNKNOWN)
        else:
            self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        found = Global(f"{module}.{name}")
        self.findings.globals[found.name] += 1
        if not (self._is_free(found) or self._is_empty(found) or _is_getattr(found)):
            self._refuse(found.name)
        self.stack.append(found)

    def _is_free(self, value: Global) -> bool:
        return bool(self.allowed.free.fullmatch(value.name))

    def _is_empty(self, value: Global) -> bool:
        return bool(self.allowed.empty.fullmatch(value.name))

    # --- Calls
    def reduce(self, _: Any) -> None:
        called, arguments = self._pop(2)
        self._call(called, arguments)

    def make_new(self, _: Any) -> None:
        made, arguments = self._pop(2)
        if isinstance(made, Global) and self._is_empty(made) and arguments == ():
            self.stack.append(UNKNOWN)
        else:
            self._call(made, arguments)

    def make_new_with_keywords(self, _: Any) -> None:
        made, arguments, _keywords = self._pop(3)
        self._call(made, arguments)

    def make_by_class(self, _: Any) -> None:
        called, *arguments = self._pop_to_mark()
        self._call(called, tuple(arguments))

    def make_by_name(self, argument: str) -> None:
        arguments = self._pop_to_mark()
        self.name_global(argument)
        self._call(self.stack.pop(), tuple(arguments))

    def _call(self, called: Any, arguments: Any) -> None:
        if not isinstance(called, Global):
            self._refuse("a call of something that is computed while loading")
        elif _is_getattr(called):
            self._check_getattr(arguments)
        elif self._is_empty(called):
            self._refuse(f"a call of {called.name}")
        self.stack.append(UNKNOWN)

    def _check_getattr(self, arguments: Any) -> None:
        """Ultralytics' pickles reach `InterpolationMode.BILINEAR` and `Detect.forward` so; nothing else may."""
        match arguments:
            case (Global() as owner, str() as name) if not name.startswith("_") and (
                self._is_free(owner) or self._is_empty(owner)
            ):
                return
        self._refuse("builtins.getattr of something that is computed while loading")

    # --- The rest
    def build(self, _: Any) -> None:
        self._pop(1)
        if isinstance(self.stack[-1], Global):
            self._refuse(f"changes {self.stack[-1].name}")

    def extension(self, _: Any) -> None:
        self._refuse("a name by a number that only this process knows")
        self.stack.append(UNKNOWN)

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def mark(self, _: Any) -> None:
        self.stack.append(MARK)

    def tuple_to_mark(self, _: Any) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def drop(self, _: Any) -> None:
        self.stack.pop()

    def drop_to_mark(self, _: Any) -> None:
        self._pop_to_mark()

    def nothing(self, _: Any) -> None:
        pass


STEPS: dict[str, Callable[[Machine, Any], None]] = {
    "GLOBAL": Machine.name_global,
    "STACK_GLOBAL": Machine.name_stacked_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.make_new,
    "NEWOBJ_EX": Machine.make_new_with_keywords,
    "OBJ": Machine.make_by_class,
    "INST": Machine.make_by_name,
    "BUILD": Machine.build,
    "EXT1": Machine.extension,
    "EXT2": Machine.extension,
    "EXT4": Machine.extension,
    "MEMOIZE": Machine.memoize,
    "MARK": Machine.mark,
    "TUPLE": Machine.tuple_to_mark,
    "DUP": Machine.duplicate,
    "POP": Machine.drop,
    "POP_MARK": Machine.drop_to_mark,
    "PROTO": Machine.nothing,
    "FRAME": Machine.nothing,
    "STOP": Machine.nothing,
}


def _is_getattr(value: Any) -> bool:
    return isinstance(value, Global) and value.name in ("builtins.getattr", "__builtin__.getattr")


# --- Files -----------------------------------------------------------------------------------------------------------
def inspect(path: Path, allowed: Allowed, ending: str = "") -> Inspection:
    """The verdict on a file of weights. Reads its pickles and no tensors.

    `ending` is that of the file's own name, where `path` has another. What loads the file goes by it, too: to tell safetensors by
    the bytes would let through pickles that begin like them.
    """
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if start == b"PK":
            return _judged("torch", lambda findings: _read_zip(path, allowed, findings))
        if (ending or path.suffix).lower() == ".safetensors":
            return _judged("safetensors", lambda findings: _check_safetensors(path, file))
        return _judged("torch, before 1.6", lambda findings: _read_in_turn(file, allowed, findings))


def _judged(name: str, read: Callable[[Findings], None]) -> Inspection:
    findings = Findings()
    problem = ""
    try:
        read(findings)
    except Unreadable as error:
        problem = str(error)
    return Inspection(name, tuple(sorted(findings.globals)), tuple(sorted(findings.refused)), problem)


def _read_zip(path: Path, allowed: Allowed, findings: Findings) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in _checked(archive, path):
                Machine(allowed, findings).run(io.BytesIO(archive.read(entry)))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise Unreadable(f"The ZIP archive is damaged ({error}).") from None


def _checked(archive: zipfile.ZipFile, path: Path) -> Iterator[zipfile.ZipInfo]:
    """The archive's pickles. torch reads ZIP with another library: whatever the two might read differently is refused."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > MOST_ENTRIES:
        raise Unreadable(f"The archive has {len(entries):,} entries.")
    if _directories(path) != {archive.start_dir} or min(entry.header_offset for entry in entries) != 0:
        raise Unreadable("There is something before, within or behind the ZIP archive, which torch never writes.")
    if len({name.casefold() for name in names}) != len(names):
        raise Unreadable("The archive holds two entries of one name.")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 0x1 for entry in entries):
        raise Unreadable("The archive holds compressed or encrypted entries, which torch never writes.")
    pickles = [entry for entry in entries if entry.filename.casefold().endswith((".pkl", ".pickle"))]
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        raise Unreadable("It is a TorchScript archive: a program, no weights.")
    if [entry.filename.split("/", 1)[-1] for entry in pickles] != ["data.pkl"]:
        raise Unreadable(f"The archive holds {len(pickles)} pickles where torch writes one, data.pkl.")
    if pickles[0].file_size > LARGEST_PICKLE:
        raise Unreadable("The pickle is far larger than that of any model.")
    if pickles[0].extra:
        raise Unreadable("The pickle's size or place is given twice, which torch never does.")
    yield from pickles


def _directories(path: Path) -> set[int]:
    """Where the archive's last records say that its directory lies. torch's library follows the 64-bit one wherever it is."""
    with path.open("rb") as file:
        length = file.seek(0, io.SEEK_END)
        behind = END_OF_ZIP.size + LOCATOR.size + END_OF_ZIP64.size
        file.seek(max(0, length - behind))
        tail = file.read()
    end = END_OF_ZIP.unpack(tail[-END_OF_ZIP.size :])
    found = {end[6]} if end[0] == b"PK\x05\x06" else set()
    locator = tail[-END_OF_ZIP.size - LOCATOR.size : -END_OF_ZIP.size]
    if locator.startswith(b"PK\x06\x07"):
        record = tail[: END_OF_ZIP64.size]
        if LOCATOR.unpack(locator)[2] != length - behind or not record.startswith(b"PK\x06\x06"):
            return set()
        found = found - {NOT_IN_32_BITS} | {END_OF_ZIP64.unpack(record)[9]}
    return found


def _read_in_turn(file: BinaryIO, allowed: Allowed, findings: Findings) -> None:
    for _ in range(LEGACY_PICKLES):
        Machine(allowed, findings).run(file)


def _check_safetensors(path: Path, file: BinaryIO) -> None:
    length = int.from_bytes(file.read(8), "little")
    if length > min(LARGEST_HEADER, path.stat().st_size):
        raise Unreadable("The header of the safetensors file is longer than allowed.")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        raise Unreadable("The header of the safetensors file cannot be read.") from None
    if not isinstance(header, dict):
        raise Unreadable("The header of the safetensors file is no object.")
