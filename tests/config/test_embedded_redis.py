"""The embedded Redis, for real: in a folder of this module's own."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client
from kombu import Connection

from config.embedded import EmbeddedError, places, redis, redis_broker_url, redis_cache_url
from tests.processes import kill


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("redis") / "data"
    yield folder
    redis.stop(folder)


def connect(data_dir: Path) -> client.Redis:
    return client.Redis.from_url(redis_cache_url(data_dir))


def test_a_killed_server_comes_back_with_its_data(data_dir: Path) -> None:
    connect(data_dir).set("kept", "42")
    kill(redis.process_id(data_dir))
    assert connect(data_dir).get("kept") == b"42"


def test_its_socket_is_closed_to_everybody_else(data_dir: Path) -> None:
    socket, _ = redis.ensure_running(data_dir)
    assert stat.S_IMODE(socket.stat().st_mode) == stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_nobody_comes_in_without_the_password(data_dir: Path) -> None:
    socket, _ = redis.ensure_running(data_dir)
    with pytest.raises(client.AuthenticationError):
        client.Redis(unix_socket_path=str(socket), retry=None).ping()


def test_no_port_is_open(data_dir: Path) -> None:
    assert connect(data_dir).config_get("port")["port"] == "0"


def test_the_password_is_on_no_command_line(data_dir: Path) -> None:
    _, secret = redis.ensure_running(data_dir)
    assert not places.process_holds(redis.process_id(data_dir) or 0, secret)


def test_celery_reaches_it(data_dir: Path) -> None:
    with Connection(redis_broker_url(data_dir)) as connection, connection.SimpleQueue("check") as queue:
        queue.put({"number": 7})
        assert queue.get(timeout=5).payload == {"number": 7}


def test_a_stale_pid_file_with_a_number_in_use_does_not_matter(data_dir: Path) -> None:
    redis.ensure_running(data_dir)
    kill(redis.process_id(data_dir))
    (data_dir / "redis" / "redis.pid").write_text(f"{os.getpid()}\n")
    assert redis.process_id(data_dir) is None
    assert connect(data_dir).ping()


def test_a_server_whose_socket_was_removed_is_replaced_with_its_data(data_dir: Path) -> None:
    connect(data_dir).set("kept", "43")
    socket, _ = redis.ensure_running(data_dir)
    pid = redis.process_id(data_dir)
    socket.unlink()
    assert (connect(data_dir).get("kept"), redis.process_id(data_dir) != pid) == (b"43", True)


def test_a_lost_password_is_told_with_a_way_out(data_dir: Path) -> None:
    redis.ensure_running(data_dir)
    places.password_file(data_dir, "redis").unlink()
    with pytest.raises(EmbeddedError, match="services stop"):
        redis.ensure_running(data_dir)
    redis.stop(data_dir)
    assert connect(data_dir).ping()


def test_damaged_data_are_told_with_the_log_and_a_way_out(tmp_path: Path) -> None:
    connect(tmp_path / "data").set("kept", "x")
    redis.stop(tmp_path / "data")
    (tmp_path / "data" / "redis" / "appendonly.aof").write_bytes(b"*3\r\n$3\r\nSET\r\nnonsense\r\n" * 3)
    with pytest.raises(EmbeddedError, match=r"(?s)did not start.*remove .*REDIS_URL"):
        redis.ensure_running(tmp_path / "data")


def test_odd_letters_in_the_path_do_not_matter(tmp_path: Path) -> None:
    odd = tmp_path / 'a, "b" ü'
    try:
        assert connect(odd).ping()
    finally:
        redis.stop(odd)
        shutil.rmtree(places.socket_folder(odd))
