"""`manage.py create_token USERNAME`: an API token for scripts."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import ApiToken, User


class Command(BaseCommand):
    help = "Make an API token for a user and print it, alone, on standard output. It cannot be read again later."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line", help="What it is for (default: command line).")
        parser.add_argument("--days", type=int, help="Days until it expires. Without it: never.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}. Make one with 'manage.py createsuperuser'.")
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("--days counts whole days from 1 on. Leave it out for a token that does not expire.")
        _, key = ApiToken.issue(user, options["name"][:80], options["days"])
        self.stdout.write(key)
