from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datasets.commands import find_project
from predictions import leakage
from predictions.prediction_sets import SetRefused, find_version


class Command(BaseCommand):
    help = "Look for the questions of a set in training data (JSON array or JSON Lines, also .gz). Exit code 1 where some are there."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reference", metavar="NAME@VERSION", help="Such as golden@3 or golden@latest.")
        parser.add_argument("file", type=Path, help="The training data, as the client draws prompts from.")
        parser.add_argument("--project", help="Slug of the project. Default: the personal project of the first superuser.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            version = find_version(find_project(options["project"]), options["reference"])
            found = leakage.check_file(version, options["file"])
        except SetRefused as refusal:
            raise CommandError(f"{refusal} {refusal.remedy}", returncode=2) from None
        for kind, label in leakage.KINDS.items():
            self.stdout.write(f"{found.items[kind]:>9,} items in {found.rows[kind]:,} rows: {label.lower()}")
        for example in found.examples:
            self.stdout.write(f"{'':>11}row {example.row}: {leakage.KINDS[example.kind].lower()}: {example.asked[:100]!r}")
        if found.unreadable_rows:
            self.stdout.write(f"{found.unreadable_rows:,} rows are of no shape that asks something.")
        line = f"{version}: {found.leaked:,} of {found.item_count:,} items leaked into {found.row_count:,} rows"
        if found.leaked:
            raise CommandError(line)
        self.stdout.write(line)
