from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from datasets.commands import ImportCommand, find_dataset, last_line
from datasets.importers.problems import ImportRefused
from predictions import importing, requests


class Command(ImportCommand):
    help = "Import a COCO results file as a named prediction run; a run of that name is replaced in one step."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", help="Slug of the dataset.")
        parser.add_argument("results", type=Path, help="The results file (JSON).")
        parser.add_argument("--name", default="prediction", help="Name of the run (default: prediction).")
        self.add_source_arguments(parser)
        parser.set_defaults(split="")

    def handle(self, *args: Any, **options: Any) -> None:
        dataset = find_dataset(options["dataset"], options["project"])
        try:
            job = requests.make_prediction_import(
                None,
                dataset,
                name=options["name"],
                split=options["split"],
                upload=None,
                path=options["results"].absolute(),
                fixes=options["fix"],
                dry_run=options["dry_run"],
            )
        except ImportRefused as refusal:
            raise self.refuse(refusal) from None
        self.run_to_its_end(job, lambda heartbeat: importing.run_import(job, heartbeat))
        self.stdout.write(last_line(job, dataset))
