"""As whom PostgreSQL runs: it refuses root, and no folder shall be opened to anybody for its sake.

An ordinary user is just that user. For root there are two ways, and in both of them every folder stays as it is:
inside a user namespace the server sees an ordinary user while all its files stay root's; where namespaces are denied, as in
most containers, it runs as another account that is lent the right to pass root's folders, and owns its own cluster only.
"""

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from config.embedded import places
from config.embedded.places import EmbeddedError

CLONE_NEWUSER = 0x10000000
ID_INSIDE = 1000
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITIES_VERSION = 0x20080522
ACCOUNT = "nobody"


@dataclass(frozen=True)
class Runner:
    """How to start a program as somebody PostgreSQL accepts, and who must own the cluster then."""

    steps: tuple[Callable[[], None], ...] = ()
    owner: int | None = None

    def popen(self, command: list[str], *, tied: bool = False, **further: Any) -> "subprocess.Popen[bytes]":
        """With `tied` the program gets SIGINT when this thread ends. That comes last: a new identity forgets the wish."""
        steps = list(self.steps)
        if tied:
            steps.append(partial(places.tie_to_parent, signal.SIGINT))
        return subprocess.Popen(command, preexec_fn=partial(_all, steps) if steps else None, cwd="/", **further)

    def run(self, command: list[str], given: str = "") -> "subprocess.CompletedProcess[bytes]":
        """Run it to its end with `given` as its input; its output and its complaints together as bytes."""
        pipe = subprocess.PIPE
        with self.popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as process:
            output, _ = process.communicate(given.encode())
        return subprocess.CompletedProcess(command, process.returncode, output)

    def reaches(self, folder: Path, binary: Path) -> bool:
        """Tried rather than asked: the system's answer to a question leaves lent rights out."""
        try:
            return self.run(["sh", "-c", 'cd "$0" && exec "$1" --version', str(folder), str(binary)]).returncode == 0
        except (subprocess.SubprocessError, OSError):
            return False

    def own(self, folder: Path) -> None:
        """Give the cluster, and nothing else, to the account that the server runs as."""
        if self.owner is None or folder.stat().st_uid == self.owner:
            return
        for parent, _, files in os.walk(folder):
            os.chown(parent, self.owner, -1)
            for name in files:
                os.chown(Path(parent) / name, self.owner, -1, follow_symlinks=False)


def runner_for(cluster: Path, binary: Path) -> Runner:
    """The way for this user and this cluster, which need not exist yet. Raises EmbeddedError where there is none."""
    if os.geteuid() != 0:
        return Runner()
    owner = cluster.stat().st_uid if cluster.exists() else 0
    namespaced = Runner((enter_user_namespace,))
    if owner == 0 and namespaced.reaches(cluster.parent, binary):
        return namespaced
    account = owner or pwd.getpwnam(ACCOUNT).pw_uid
    lent = Runner((partial(become, account),), owner=account)
    if lent.reaches(cluster.parent, binary):
        return lent
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and this system lets root neither open a user namespace nor act as the account "
        f"'{ACCOUNT}' with a single capability. Run Touchstone as an ordinary user, or set DATABASE_URL to a server of yours."
    )


def enter_user_namespace() -> None:
    """In a child of root before exec: see oneself as user 1000, while outside the process and its files are root's."""
    _check(_libc().unshare(CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{ID_INSIDE} 0 1")
    Path("/proc/self/gid_map").write_text(f"{ID_INSIDE} 0 1")


def become(user: int) -> None:
    """In a child of root before exec: be that user, and keep of root's rights only that of passing closed folders."""
    libc = _libc()
    os.setgroups([])
    _check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setresuid(user, user, user)
    bit = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
    # Effective, permitted and inheritable; the second three are the upper 32 capabilities.
    _check(libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)))
    _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _all(steps: list[Callable[[], None]]) -> None:
    for step in steps:
        step()
