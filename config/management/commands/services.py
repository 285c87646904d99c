from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import embedded
from config.embedded import EmbeddedError


class Command(BaseCommand):
    help = "Show, start or stop the embedded PostgreSQL and Redis. They start by themselves when they are needed."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["status", "start", "stop"])

    def handle(self, *args: Any, **options: Any) -> None:
        for service, address in ((embedded.postgres, settings.DATABASE_URL), (embedded.redis, settings.REDIS_URL)):
            self.stdout.write(f"{service.NAME}: {self._act(service, options['action']) if not address else 'external'}")

    def _act(self, service: Any, action: str) -> str:
        if action == "start":
            try:
                service.ensure_running(settings.DATA_DIR)
            except EmbeddedError as error:
                raise CommandError(str(error)) from None
        if action == "stop":
            return "stopped" if service.stop(settings.DATA_DIR) else "was not running"
        pid = service.process_id(settings.DATA_DIR)
        return f"running, process {pid}" if pid else "not running"
