import fcntl
import os
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config import embedded, environment
from config.embedded import places
from config.embedded.tending import Tender
from config.supervisor import Child, say, supervise

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound unasked
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Command(BaseCommand):
    help = (
        "Run everything in one process tree: embedded PostgreSQL and Redis where no address is set, migrations, the web "
        "server, a worker for each of the queues cpu and gpu, and the clock. Ctrl-C stops all of it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="Address to listen on (default: 127.0.0.1).")
        parser.add_argument("--port", type=int, default=8000, help="Port to listen on (default: 8000).")
        parser.add_argument("--workers", type=int, default=2, help="Processes of the web server (default: 2).")
        parser.add_argument("--demo", action="store_true", help="Fill the demo project and print its login.")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: stopping.set())
        with _only_one(places.data_folder(settings.DATA_DIR)):
            _refuse_taken_port(host, port)
            tender = Tender(settings.DATA_DIR, _servers(), partial(say, "up"))
            try:
                tender.start()
                _prepare()
                if not stopping.is_set():
                    _run(tender, stopping, options)
            finally:
                tender.stop()
                say("up", "stopped")


def _servers() -> list[Any]:
    wanted = [(embedded.postgres, settings.DATABASE_URL), (embedded.redis, settings.REDIS_URL)]
    for server, address in wanted:
        if address:
            say("up", f"{server.NAME}: at the address that is set")
    return [server for server, address in wanted if not address]


def _prepare() -> None:
    say("up", "migrating the database")
    call_command("migrate", interactive=False, verbosity=0)
    connections.close_all()
    if not settings.DEBUG:
        call_command("collectstatic", interactive=False, verbosity=0)


def _run(tender: Tender, stopping: threading.Event, options: dict[str, Any]) -> None:
    tree = children(options["host"], options["port"], options["workers"])
    greeting = Greeting(options["host"], options["port"], tree, demo=options["demo"])

    def tend() -> None:
        tender.tend()
        greeting.go_on()

    supervise(tree, stopping, tend)


def children(host: str, port: int, workers: int) -> list[Child]:
    celery = [sys.executable, "-m", "celery", "-A", "config", "--quiet"]
    cpu_workers = environment.integer("TOUCHSTONE_CPU_WORKERS", 2, minimum=1)
    web = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port), "--workers", str(workers),
        "--blocking-threads", "4", "--respawn-failed-workers", "--workers-kill-timeout", "10", "--no-ws", "--log-level", "warning",
        "config.wsgi:application",
    ]  # fmt: skip
    worker = [*celery, "worker", "--loglevel", "info", "--without-gossip", "--without-mingle"]
    signals: dict[str, Any] = {"stop_signal": signal.SIGQUIT}
    return [
        _child("web", web, host),
        _child("cpu", [*worker, "-Q", "cpu", "-n", "cpu@%h", "--concurrency", str(cpu_workers)], **signals),
        # One process per device: models stay loaded in it.
        _child("gpu", [*worker, "-Q", "gpu", "-n", "gpu@%h", "--concurrency", "1"], **signals),
        _child("beat", [*celery, "beat", "--loglevel", "warning", "--schedule", str(settings.DATA_DIR / "beat-schedule")]),
    ]


def _child(name: str, command: list[str], host: str = "", **further: Any) -> Child:
    ours = {"TOUCHSTONE_DATA": str(settings.DATA_DIR), places.TENDED: "1", "PYTHONUNBUFFERED": "1"}
    if host and host not in EVERYWHERE:
        # Who is told to listen at an address is asked for by that address.
        ours["TOUCHSTONE_HOSTS"] = ",".join([*settings.ALLOWED_HOSTS, _in_address(host)])
    return Child(name, command, folder=settings.BASE_DIR, environment=os.environ | ours, **further)


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Greeting:
    """Says when the web server answers, fills the demo then, and has its networks made in the background."""

    def __init__(self, host: str, port: int, tree: list[Child], *, demo: bool) -> None:
        self.host, self.tree = host, tree
        self.address = f"http://{'localhost' if host in (*EVERYWHERE, *LOOPBACK) else _in_address(host)}:{port}/"
        own = host if host not in EVERYWHERE else "localhost"
        self.probe = f"http://{_in_address(own)}:{port}/healthz"
        fill = [sys.executable, "manage.py", "demo", "--address", self.address]
        self.demo = _child("demo", fill, once=True) if demo else None
        # Minutes of work that nobody waits for: it takes what the others leave.
        self.weights = _child("nets", ["nice", "-n", "19", sys.executable, "manage.py", "make_demo_weights"], once=True)
        self.answers = self.done = False

    def go_on(self) -> None:
        """One step further, without waiting."""
        if self.done:
            return
        if not self.answers:
            self.answers = _answers(self.probe)
        elif self.demo and not self.demo.process:
            self.demo.start()
            self.tree.append(self.demo)
        elif not self.demo or self.demo.has_ended():
            self._say_ready()

    def _say_ready(self) -> None:
        self.done = True
        if self.demo and self.demo.process and self.demo.process.returncode:
            say("up", "the demo project could not be filled: see the lines of 'demo' above")
        elif self.demo:
            self.weights.start()
            self.tree.append(self.weights)
        if self.host in EVERYWHERE and not set(settings.ALLOWED_HOSTS) - {*LOOPBACK, "[::1]"}:
            say("up", "answers by the names localhost and 127.0.0.1 only; set TOUCHSTONE_HOSTS to the names of this machine")
        say("up", f"Touchstone is ready at {self.address} (Ctrl-C stops it)")


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=1).close()  # noqa: S310 - our own address
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """One `up` per data folder."""
    with (data_dir / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"Another 'manage.py up' runs on {data_dir}. Stop it, or set TOUCHSTONE_DATA to another folder."
            ) from None
        yield


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OverflowError:
            raise CommandError(f"There is no port {port}. Choose one from 1 to 65535 with --port.") from None
        except OSError as error:
            raise CommandError(f"Cannot listen on {host}:{port} ({error.strerror}). Choose another with --port.") from None
