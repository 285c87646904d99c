import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from datasets.importers.image_files import image_paths
from inference import downloads, loading, runner
from inference.adapters.base import Adapter, AdapterError, InferenceSettings
from inference.engine import Answer, Picture, answers
from inference.models import InferenceJob, InferenceKind, InferenceResult
from inference.requests import RequestRefused, checked_settings
from inference.storing import result_row
from predictions.models import Checkpoint


class Command(BaseCommand):
    help = "Ask a checkpoint about an image or a folder of images, in this process; nothing is stored but the file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("checkpoint", type=int, help="Id of a registered checkpoint.")
        parser.add_argument("images", type=Path, help="An image, or a folder of images.")
        parser.add_argument("--out", type=Path, required=True, help="The file to write: .json or .csv.")
        parser.add_argument("--confidence", type=float, help="Objects at least so sure (default: 0.25).")
        parser.add_argument("--iou", type=float, help="Overlap above which two objects of a class are one (default: 0.7).")
        parser.add_argument("--max-objects", type=int, help="Of an image, the surest (default: 300).")

    def handle(self, *args: Any, **options: Any) -> None:
        out, root = options["out"], options["images"]
        if out.suffix not in (".json", ".csv"):
            raise CommandError(f"{out} is neither .json nor .csv.")
        paths = [root] if root.is_file() else image_paths(root) if root.is_dir() else []
        if not paths:
            raise CommandError(f"There are no images at {root}.")
        checkpoint = Checkpoint.objects.filter(pk=options["checkpoint"]).first()
        if checkpoint is None:
            raise CommandError(f"There is no checkpoint {options['checkpoint']}.")
        try:
            asked = InferenceSettings(**checked_settings(options))
        except RequestRefused as refused:
            raise CommandError(refused.in_words()) from None
        try:
            adapter = loading.load(checkpoint, runner.device())
        except AdapterError as error:
            raise CommandError(f"{error} {error.remedy}") from None
        found = sorted(_answers(adapter, checkpoint, paths, asked), key=lambda answer: answer.position)
        rows = _rows(checkpoint, root, paths, found, asked)
        out.write_text("".join(downloads.as_csv(rows) if out.suffix == ".csv" else _as_json(rows)))
        failed = sum(answer.result is None for answer in found)
        self.stdout.write(f"{len(found)} images, {failed} not readable: {out}")


def _answers(adapter: Adapter, checkpoint: Checkpoint, paths: list[Path], asked: InferenceSettings) -> Iterator[Answer]:
    pictures = [Picture(position, path.read_bytes) for position, path in enumerate(paths)]
    pace = runner.pace_of(adapter, checkpoint.sha256, len(paths))
    return answers(adapter, pictures, asked, pace, settings.MAX_IMAGE_PIXELS)


def _rows(
    checkpoint: Checkpoint, root: Path, paths: list[Path], found: list[Answer], asked: InferenceSettings
) -> list[InferenceResult]:
    """As a batch's rows, which are never saved."""
    job = InferenceJob(checkpoint=checkpoint, kind=InferenceKind.BATCH, settings=vars(asked))
    base = root if root.is_dir() else root.parent
    return [
        InferenceResult(job=job, name=str(paths[answer.position].relative_to(base)), **result_row(job, answer))
        for answer in found
    ]


def _as_json(rows: list[InferenceResult]) -> Iterator[str]:
    for row in rows:
        row.pk = 0
    told = json.loads("".join(downloads.as_json(rows)))
    for each in told:
        for name in ("id", "job_id", "sample_id", "visualization"):  # of rows that are stored
            del each[name]
    yield json.dumps(told, indent=1) + "\n"
