"""Folders, secrets and locks of the embedded servers, all of them readable by their owner alone."""

import ctypes
import fcntl
import hashlib
import os
import secrets
import signal
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# The address of a Unix socket holds 107 bytes on Linux; the servers append names of up to 20 to the folder.
LONGEST_SOCKET_FOLDER = 80
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
ID_INSIDE = 1000


class EmbeddedError(Exception):
    """An embedded server cannot run: what is wrong, and how to mend it."""


def private_folder(path: Path) -> Path:
    """The folder, made where needed, ours and closed to others. Folders above it stay as they are."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or (status.st_uid != os.geteuid() and os.geteuid() != 0):
        raise EmbeddedError(f"{path} belongs to somebody else. Remove it, or set TOUCHSTONE_DATA to a folder of your own.")
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path


def socket_folder(data_dir: Path) -> Path:
    """Where the sockets lie: below the data folder, or in a short private folder where that path is too long."""
    folder = data_dir / "run"
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER:
        return private_folder(folder)
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return private_folder(Path(tempfile.gettempdir()) / f"touchstone-{os.geteuid()}-{digest}")


def password(data_dir: Path, name: str) -> str:
    """A password of the server's own, made once, in a file that its owner alone can read."""
    file = private_folder(data_dir) / f"{name}.password"
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secrets.token_urlsafe(32))
    return file.read_text().strip()


@contextmanager
def starting(data_dir: Path, name: str) -> Iterator[None]:
    """One process at a time looks after the server; the others wait and find it running."""
    with (private_folder(data_dir) / f"{name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_being_started(data_dir: Path, name: str) -> bool:
    try:
        with (data_dir / f"{name}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def accepts(path: Path) -> bool:
    """Whether a server listens on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def log_tail(file: Path, lines: int = 12) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def process_holds(pid: int, words: str) -> bool:
    """Whether that process runs and names `words` on its command line; a reused process id does not."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(words) in command


def tie_to_parent(number: signal.Signals) -> None:
    """In a child before exec: be told by this signal when the parent ends, however it ends. Linux only."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def enter_user_namespace() -> None:
    """In a child of root before exec: see oneself as an ordinary user, while files stay root's.

    PostgreSQL refuses to run as root. Inside a user namespace it sees user 1000; outside, the same process is root still,
    so that no folder has to be opened to anybody else.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are denied")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{ID_INSIDE} 0 1")
    Path("/proc/self/gid_map").write_text(f"{ID_INSIDE} 0 1")


def before_exec(*steps: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        for step in steps:
            step()

    return run
