import os
import secrets
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from config.demo.project import DemoFailed, fill_project

USERNAME = "demo"


class Command(BaseCommand):
    help = (
        "Fill a demo project: generated pictures with their truth, and simulated prediction runs of different quality. "
        "Makes the superuser 'demo' and prints its login. Run again, it prints the login and makes only what is missing."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", default="http://localhost:8000/", help="Where the server answers, for the last lines.")
        parser.add_argument("--password", help="Password of the user 'demo'. Default: a random one, kept in the data folder.")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        user, password = find_or_make_user(options["password"])
        try:
            filled = fill_project(user, self.stdout.write)
        except DemoFailed as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(
            f"The demo is ready after {time.monotonic() - started:.1f} s." if filled else "The demo stands already."
        )
        self.stdout.write(f"Address:  {options['address']}\nLogin:    {USERNAME}\nPassword: {password}")


def find_or_make_user(password: str | None) -> tuple[User, str]:
    """The superuser 'demo' and a password that opens the door; somebody's own change of it is undone only by --password."""
    file = password_file()
    user = User.objects.filter(username=USERNAME).first()
    if user is None:
        user = User(username=USERNAME, is_staff=True, is_superuser=True)
        password = password or secrets.token_urlsafe(9)
    if password:
        user.set_password(password)
        user.save()
        keep_secret(file, password)
        return user, password
    kept = file.read_text().strip() if file.exists() else ""
    return user, kept if kept and user.check_password(kept) else "(changed since; set it anew with --password)"


def password_file() -> Path:
    return Path(settings.DATA_DIR) / f"{USERNAME}.password"


def keep_secret(file: Path, text: str) -> None:
    """Written so that nobody else can read it at any moment."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text + "\n")
