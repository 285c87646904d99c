from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datasets.commands import find_project
from predictions import set_files, set_imports
from predictions.prediction_sets import SetRefused
from predictions.set_files import SetFileRefused


class Command(BaseCommand):
    help = "Import a file (JSON Lines, CSV, promptfoo's YAML) into the draft of a curated set; the set is made where there is none."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="Name of the set.")
        parser.add_argument("file", type=Path, help="The file; promptfoo configs may name others below its folder.")
        parser.add_argument("--project", help="Slug of the project. Default: the personal project of the first superuser.")
        parser.add_argument("--format", choices=list(set_files.FORMATS), default="", help="Default: by the file's ending.")
        parser.add_argument("--publish", action="store_true", help="Publish the draft afterwards.")
        parser.add_argument("--note", default="", help="What changed, for the published version.")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--replace", action="store_const", const="replace", dest="mode", help="Replace what the draft holds.")
        mode.add_argument("--add", action="store_const", const="add", dest="mode", help="Add to what the draft holds.")
        parser.add_argument("--skip-unknown", action="store_true", help="Leave out what has no counterpart here, and count it.")

    def handle(self, *args: Any, **options: Any) -> None:
        project, path = find_project(options["project"]), options["file"]
        try:
            content = set_imports.read_file(
                path.name,
                path.read_bytes(),
                file_format=options["format"],
                skips_unknown=options["skip_unknown"],
                folder=path.absolute().parent,
            )
            done = set_imports.import_set(
                project, None, options["name"], content, mode=options["mode"] or "", publishes=options["publish"], note=options["note"]
            )  # fmt: skip
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from None
        except SetFileRefused as refusal:
            self._tell(refusal)
            raise CommandError(f"{path.name} was refused. Nothing was stored.") from None
        except SetRefused as refusal:
            remedy = "Say --add or --replace." if "already" in str(refusal) and not options["mode"] else refusal.remedy
            raise CommandError(f"{refusal} {remedy} Nothing was stored.") from None
        for line in set_imports.told(content):
            self.stdout.write(line)
        where = f"published as {done.published}" if done.published else "in the draft"
        self.stdout.write(f"{done.asked.name}: {len(content.items):,} items read, {done.changed.in_words()}, {where}")

    def _tell(self, refusal: SetFileRefused) -> None:
        for problem in refusal.problems:
            self.stderr.write(f"{problem} {problem.remedy}")
