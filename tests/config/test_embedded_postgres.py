"""The embedded PostgreSQL, for real: in a folder of this module's own."""

import os
import secrets
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.embedded import EmbeddedError, identity, places, postgres
from tests.processes import kill

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else for PostgreSQL")
PRINT_PROCESS = """
import sys
from pathlib import Path
from config.embedded import postgres
postgres.ensure_running(Path(sys.argv[1]))
print(postgres.process_id(Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pg") / "data"
    yield folder
    postgres.stop(folder)


def connect(data_dir: Path, **other: str) -> psycopg.Connection:
    found = postgres.ensure_running(data_dir)
    parameters = {"host": found["HOST"], "port": found["PORT"], "user": found["USER"], "password": found["PASSWORD"]}
    return psycopg.connect(**(parameters | {"dbname": "touchstone"} | other), autocommit=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_database_is_there_and_speaks_utf8(data_dir: Path) -> None:
    with connect(data_dir) as connection:
        assert connection.execute("SELECT current_database(), current_setting('server_encoding')").fetchone() == (
            "touchstone",
            "UTF8",
        )


def test_a_running_server_is_found_at_once(data_dir: Path) -> None:
    postgres.ensure_running(data_dir)
    pid, started = postgres.process_id(data_dir), time.perf_counter()
    postgres.ensure_running(data_dir)
    assert (postgres.process_id(data_dir), time.perf_counter() - started < 0.05) == (pid, True)


def test_data_and_sockets_are_closed_to_everybody_else(data_dir: Path) -> None:
    sockets = Path(postgres.ensure_running(data_dir)["HOST"])
    closed = [data_dir, data_dir / "postgres", sockets, sockets / ".s.PGSQL.5432"]
    assert [mode(path) for path in closed] == [0o700] * 4
    assert mode(data_dir / "postgres.password") == mode(data_dir / "postgres.log") == 0o600


def test_folders_above_stay_as_they_are(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=0o700)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in (tmp_path, above)]
    try:
        postgres.ensure_running(above / "data")
        assert [(path, path.stat().st_mode, path.stat().st_uid) for path, *_ in before] == before
    finally:
        postgres.stop(above / "data")


def test_nobody_comes_in_without_the_password(data_dir: Path) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(data_dir, password="guessed")


def test_no_port_is_open(data_dir: Path) -> None:
    with connect(data_dir) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_the_password_is_on_no_command_line(data_dir: Path) -> None:
    secret = postgres.ensure_running(data_dir)["PASSWORD"]
    assert not places.process_holds(postgres.process_id(data_dir) or 0, secret)


def test_a_killed_server_comes_back_with_its_data(data_dir: Path) -> None:
    with connect(data_dir) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    kill(postgres.process_id(data_dir))
    with connect(data_dir) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_busy_backend_of_a_killed_server_is_no_hindrance(data_dir: Path) -> None:
    busy = connect(data_dir)
    thread = threading.Thread(target=_count_for_long, args=[busy], daemon=True)
    thread.start()
    time.sleep(0.5)
    kill(postgres.process_id(data_dir))
    connect(data_dir).close()
    thread.join(10)
    assert not thread.is_alive()


def _count_for_long(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b")


def test_a_stale_pid_file_with_a_number_in_use_does_not_matter(data_dir: Path) -> None:
    postgres.ensure_running(data_dir)
    pid_file = data_dir / "postgres" / "postmaster.pid"
    kept = pid_file.read_text().split("\n", 1)[1]
    kill(postgres.process_id(data_dir))
    pid_file.write_text(f"{os.getpid()}\n{kept}")
    connect(data_dir).close()
    assert postgres.process_id(data_dir) not in (None, os.getpid())


def test_a_server_whose_socket_was_removed_is_replaced(data_dir: Path) -> None:
    sockets = Path(postgres.ensure_running(data_dir)["HOST"])
    pid = postgres.process_id(data_dir)
    (sockets / ".s.PGSQL.5432").unlink()
    connect(data_dir).close()
    assert postgres.process_id(data_dir) not in (None, pid)


def test_several_commands_at_once_share_one_server(data_dir: Path) -> None:
    postgres.stop(data_dir)
    command = [sys.executable, "-c", PRINT_PROCESS, str(data_dir)]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert said == {f"{postgres.process_id(data_dir)}\n"}


def test_stopping_twice_does_nothing(data_dir: Path) -> None:
    postgres.ensure_running(data_dir)
    assert (postgres.stop(data_dir), postgres.stop(data_dir), postgres.process_id(data_dir)) == (True, False, None)


def test_an_interrupted_setup_is_done_anew(tmp_path: Path) -> None:
    data_dir = places.data_folder(tmp_path / "data")
    (data_dir / "postgres.new" / "base").mkdir(mode=0o700, parents=True)
    try:
        connect(data_dir).close()
    finally:
        postgres.stop(data_dir)


def test_the_sockets_of_a_long_path_lie_in_a_short_private_folder(tmp_path: Path) -> None:
    data_dir = tmp_path / ("a" * 60) / ("b c" * 20)
    try:
        sockets = Path(postgres.ensure_running(data_dir)["HOST"])
        connect(data_dir).close()
        assert (mode(sockets), sockets.stat().st_uid, len(str(sockets)) < 80) == (0o700, os.geteuid(), True)
    finally:
        postgres.stop(data_dir)
        shutil.rmtree(sockets)


def test_a_short_folder_that_others_may_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SHORT_PATHS", tmp_path)
    data_dir = tmp_path / ("a" * 90)
    places.socket_folder(data_dir).chmod(0o755)
    with pytest.raises(EmbeddedError, match="not a folder of this user alone"):
        places.socket_folder(data_dir)


def test_damaged_data_are_told_with_the_log_and_a_way_out(tmp_path: Path) -> None:
    postgres.ensure_running(tmp_path / "data")
    postgres.stop(tmp_path / "data")
    (tmp_path / "data" / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match=r"(?s)did not start.*pg_control.*DATABASE_URL"):
        postgres.ensure_running(tmp_path / "data")


def test_data_of_a_version_that_is_not_carried_are_told(data_dir: Path) -> None:
    cluster = data_dir / "other-version"
    cluster.mkdir(exist_ok=True)
    (cluster / "PG_VERSION").write_text("11\n")
    with pytest.raises(EmbeddedError, match="are of PostgreSQL 11"):
        postgres._binaries(cluster)


@as_root
def test_root_without_user_namespaces_lends_an_account_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "enter_user_namespace", _denied)
    tmp_path.chmod(0o700)
    try:
        with connect(tmp_path / "data") as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1")
        owner = Path(f"/proc/{postgres.process_id(tmp_path / 'data')}").stat().st_uid
        assert (owner != 0, mode(tmp_path), mode(tmp_path / "data")) == (True, 0o700, 0o700)
    finally:
        postgres.stop(tmp_path / "data")


@as_root
def test_a_cluster_of_root_goes_on_where_namespaces_are_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        connect(tmp_path / "data").close()
        postgres.stop(tmp_path / "data")
        monkeypatch.setattr(identity, "enter_user_namespace", _denied)
        connect(tmp_path / "data").close()
    finally:
        postgres.stop(tmp_path / "data")


@as_root
def test_root_with_no_way_at_all_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "enter_user_namespace", _denied)
    monkeypatch.setattr(identity, "become", _denied)
    with pytest.raises(EmbeddedError, match="ordinary user, or set DATABASE_URL"):
        postgres.ensure_running(tmp_path / "data")


def _denied(*_: object) -> None:
    raise PermissionError("denied")


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(EmbeddedError, match="belongs to user"):
        places.data_folder(tmp_path)


def test_an_open_folder_with_other_things_in_it_is_refused_and_not_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letters").mkdir()
    with pytest.raises(EmbeddedError, match="holds other things"):
        places.data_folder(tmp_path)
    assert mode(tmp_path) == 0o755


def test_an_open_folder_without_strangers_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "media").mkdir()
    assert mode(places.data_folder(tmp_path)) == 0o700


def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(secrets.token_hex())
    with pytest.raises(EmbeddedError, match="cannot be used"):
        places.data_folder(tmp_path / "file" / "data")
