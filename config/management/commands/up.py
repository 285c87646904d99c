import fcntl
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config import embedded
from config.embedded import EmbeddedError, places
from config.supervisor import Child, say, supervise

READY_SECONDS = 60
EVERYWHERE = ("127.0.0.1", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound unasked


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
        places.data_folder(settings.DATA_DIR)
        with _only_one(settings.DATA_DIR):
            _refuse_taken_port(host, port)
            own = self._start_services()
            try:
                self._prepare()
                address = f"http://{'localhost' if host in EVERYWHERE else host}:{port}/"
                greeter = threading.Thread(target=_greet, args=[address, options["demo"], stopping], daemon=True)
                greeter.start()
                if not stopping.is_set():
                    supervise(children(host, port, options["workers"]), stopping)
            finally:
                for service in own:
                    service.stop(settings.DATA_DIR)
                say("up", "stopped")

    def _start_services(self) -> list[Any]:
        """Those servers that were not running before are this process's own, and end with it."""
        own: list[Any] = []
        wanted = [(embedded.postgres, settings.DATABASE_URL), (embedded.redis, settings.REDIS_URL)]
        for service, address in wanted:
            if address:
                say("up", f"{service.NAME}: at the address that is set")
                continue
            try:
                if service.process_id(settings.DATA_DIR) is None:
                    own.append(service)
                service.ensure_running(settings.DATA_DIR, tied=True)
            except EmbeddedError as error:
                raise CommandError(str(error)) from None
            say("up", f"{service.NAME}: embedded, in {settings.DATA_DIR}")
        return own

    def _prepare(self) -> None:
        say("up", "migrating the database")
        call_command("migrate", interactive=False, verbosity=0)
        if not settings.DEBUG:
            call_command("collectstatic", interactive=False, verbosity=0)


def children(host: str, port: int, workers: int) -> list[Child]:
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "config", "--quiet"]
    beat_file = settings.DATA_DIR / "beat-schedule"
    cpu_workers = os.environ.get("TOUCHSTONE_CPU_WORKERS", "2")
    web = [
        python, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port), "--workers", str(workers),
        "--blocking-threads", "4", "--respawn-failed-workers", "--no-ws", "--log-level", "warning", "config.wsgi:application",
    ]  # fmt: skip
    worker = [*celery, "worker", "--loglevel", "info", "--without-gossip", "--without-mingle"]
    # A worker that waits for a broker which is gone as well hears nothing but SIGKILL; its pool follows it by itself.
    signals: dict[str, Any] = {"stop_signal": signal.SIGQUIT, "orphan_signal": signal.SIGKILL}
    return [
        Child("web", web),
        Child("cpu", [*worker, "-Q", "cpu", "-n", "cpu@%h", "--concurrency", cpu_workers], **signals),
        # One process per device: models stay loaded in it.
        Child("gpu", [*worker, "-Q", "gpu", "-n", "gpu@%h", "--concurrency", "1"], **signals),
        Child("beat", [*celery, "beat", "--loglevel", "warning", "--schedule", str(beat_file)]),
    ]


class _only_one:
    """One `up` per data folder."""

    def __init__(self, data_dir: Any) -> None:
        self.file = data_dir / "up.lock"

    def __enter__(self) -> None:
        self.opened = self.file.open("a")
        try:
            fcntl.flock(self.opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"Another 'manage.py up' runs on {settings.DATA_DIR}. Stop it, or set TOUCHSTONE_DATA to another folder."
            ) from None

    def __exit__(self, *_: object) -> None:
        self.opened.close()


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(f"Cannot listen on {host}:{port} ({error.strerror}). Choose another with --port.") from None


def _greet(address: str, demo: bool, stopping: threading.Event) -> None:
    """Say when the web server answers; fill the demo then."""
    deadline = time.monotonic() + READY_SECONDS
    while not stopping.is_set() and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}healthz", timeout=2)  # noqa: S310 - our own address
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.2)
    if demo and not stopping.is_set():
        call_command("demo", address=address)
    say("up", f"Touchstone is ready at {address} (Ctrl-C stops it)")
