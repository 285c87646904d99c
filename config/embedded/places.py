"""Folders, secrets, locks and processes of the embedded servers, all of them closed to everybody but their owner."""

import ctypes
import fcntl
import hashlib
import os
import re
import secrets
import signal
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# The address of a Unix socket holds 107 bytes on Linux; the servers append names of up to 20 to the folder.
LONGEST_SOCKET_FOLDER = 80
# Not the system's setting for temporary files: every command must find the same sockets, whatever its environment.
SHORT_PATHS = Path("/tmp")  # noqa: S108 - a private folder in it, whose owner and mode are checked
LARGEST_LOG = 10 * 1024**2
PR_SET_PDEATHSIG = 1
# Set by `manage.py up` for its children: it looks after the servers, they only wait for it.
TENDED = "TOUCHSTONE_SERVERS_TENDED"
TENDER_SECONDS = 20

OUR_NAMES = re.compile(r"(postgres|redis|beat|demo|up)\b.*|run|media|uploads|scratch|staticfiles|tests|secret-key|lost\+found")


class EmbeddedError(Exception):
    """An embedded server cannot run: what is wrong, and how to mend it."""


def data_folder(path: Path) -> Path:
    """The data folder, made where needed and closed to others. Folders above it stay as they are.

    Raises EmbeddedError for one that is somebody else's, or open and in use for other things: closing it would harm them.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        strangers = [inside for inside in path.iterdir() if not OUR_NAMES.fullmatch(inside.name)] if is_open(status) else []
    except OSError as error:
        raise EmbeddedError(f"{path} cannot be used ({error.strerror}). Set TOUCHSTONE_DATA to a folder of your own.") from None
    if status.st_uid != os.geteuid():
        raise EmbeddedError(
            f"{path} belongs to user {status.st_uid}, this command runs as user {os.geteuid()}. "
            "Run it as that user, or set TOUCHSTONE_DATA to a folder of your own."
        )
    if strangers:
        raise EmbeddedError(
            f"{path} is open to other users and holds other things ({strangers[0].name}). If it is Touchstone's alone: "
            f"chmod 700 {path}. If not, set TOUCHSTONE_DATA to a folder for Touchstone alone."
        )
    if is_open(status):
        path.chmod(0o700)
    return path


def is_open(status: os.stat_result) -> bool:
    """Whether anybody but the owner may do anything with it."""
    return bool(status.st_mode & 0o077)


def private_folder(path: Path) -> Path:
    """A folder inside ours, made where needed. Raises EmbeddedError where it is not ours alone."""
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or is_open(status):
        raise EmbeddedError(f"{path} is not a folder of this user alone. Remove it, or set TOUCHSTONE_DATA to another folder.")
    return path


def socket_folder(data_dir: Path) -> Path:
    """Where the sockets lie: below the data folder, or where its path is too long or has odd letters, in a short one."""
    data_folder(data_dir)
    folder = data_dir / "run"
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER and re.fullmatch(r"[A-Za-z0-9_./-]+", str(folder)):
        return private_folder(folder)
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return private_folder(SHORT_PATHS / f"touchstone-{os.geteuid()}-{digest}")


def password_file(data_dir: Path, name: str) -> Path:
    return data_dir / f"{name}.password"


def password(data_dir: Path, name: str) -> str:
    """A password of the server's own, made once, in a file that its owner alone can read."""
    file = password_file(data_folder(data_dir), name)
    if not file.exists():
        fresh = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
            opened.write(secrets.token_urlsafe(32))
        try:
            # Never half a password, and never another one than the first.
            os.link(fresh, file)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_text()


def ensure(data_dir: Path, name: str, is_ready: Callable[[], bool], start: Callable[[], None]) -> None:
    """Have the server run: one process at a time starts it, the others wait and find it running."""
    if is_ready():
        return
    if os.environ.get(TENDED):
        await_tender(name, is_ready)
        return
    with looking_after(data_dir, name):
        if not is_ready():
            start()


def lock_file(data_dir: Path, name: str) -> Path:
    """There once somebody has tried to start the server."""
    return data_dir / f"{name}.lock"


@contextmanager
def looking_after(data_dir: Path, name: str) -> Iterator[None]:
    with lock_file(data_folder(data_dir), name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def await_tender(name: str, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TENDER_SECONDS
    while not is_ready():
        if time.monotonic() > deadline:
            raise EmbeddedError(f"The embedded {name} is down, and 'manage.py up' has not started it again. See its output.")
        time.sleep(0.1)


def listener(path: Path) -> int | None:
    """The process that listens on the socket (0: one of another container), or None: nobody is behind it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", peer)[0])


def process_holds(pid: int, *words: str) -> bool:
    """Whether that process runs and names all the words on its command line; a reused process id does not."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return all(os.fsencode(word) in command for word in words)


def processes_in(folder: Path, titled: str) -> list[int]:
    """Those that work in the folder and have the word on their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            works_here = (process / "cwd").readlink() == folder
        except OSError:
            continue  # another user's, or it has ended
        if works_here and process_holds(int(process.name), titled):
            found.append(int(process.name))
    return found


def end(number: signal.Signals, process_id: Callable[[], int | None], *, within: float) -> bool:
    """Send the signal and wait until no process is left. False where one still runs after `within` seconds."""
    pid = process_id()
    if pid == 0:
        raise EmbeddedError("The server runs in another container. Stop it there.")
    deadline = time.monotonic() + within
    if pid is not None:
        os.kill(pid, number)
    while (pid := process_id()) is not None:
        if time.monotonic() > deadline:
            return False
        try:
            # Where the server is our own child, its end is ours to note.
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.02)
    return True


def open_log(file: Path) -> BinaryIO:
    """The log to append to; a large one is put aside."""
    if file.exists() and file.stat().st_size > LARGEST_LOG:
        file.replace(file.with_suffix(".log.1"))
    return os.fdopen(os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab")


def log_tail(file: Path, lines: int = 12) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def tie_to_parent(number: signal.Signals) -> None:
    """In a child before exec: be told by this signal when the parent ends, however it ends. Linux only."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def end_with_parent(named: str) -> None:
    """In a running child: be killed with the parent, whose command line holds that word; at once where it has gone already."""
    tie_to_parent(signal.SIGKILL)
    if not process_holds(os.getppid(), named):
        os._exit(1)
