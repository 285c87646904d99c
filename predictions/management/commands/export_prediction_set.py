from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datasets.commands import find_project
from predictions import set_files, set_imports
from predictions.prediction_sets import SetRefused, find_version
from predictions.set_files import SetFileRefused


class Command(BaseCommand):
    help = "Write a version of a set to standard output, or to a file."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reference", metavar="NAME@VERSION", help="Such as golden@3 or golden@latest.")
        parser.add_argument("--project", help="Slug of the project. Default: the personal project of the first superuser.")
        parser.add_argument("--format", choices=list(set_files.FORMATS), default="jsonl")
        parser.add_argument("--output", help="The file to write. Default: standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            version = find_version(find_project(options["project"]), options["reference"])
            text = set_imports.export(version, options["format"])
            if not options["output"]:
                self.stdout.write(text, ending="")
                return
            with open(options["output"], "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - what somebody typed
                file.write(text)
        except (SetRefused, SetFileRefused) as refusal:
            raise CommandError(f"{refusal} {refusal.remedy}") from None
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror or error}.") from None
        self.stdout.write(f"{version}: {version.item_count:,} items written to {options['output']}")
