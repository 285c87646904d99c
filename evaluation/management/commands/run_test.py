"""A test run on the command line: the same row and the same code as in the browser, done at once."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datasets.commands import TerminalProgress, find_dataset
from datasets.models import Dataset, Job, JobStatus, Split
from datasets.runner import run_job
from evaluation import judging, test_runs
from evaluation.metrics.protocols import PROTOCOLS
from evaluation.models import TestRun
from evaluation.test_runs import Asked, TestRefused
from inference import choosing
from inference import jobs as inference_jobs
from inference import requests as inference_requests
from inference import runner as inference_runner
from inference.models import InferenceJob
from inference.requests import RequestRefused
from predictions.models import Checkpoint, PredictionRun

SHARED_PAUSE = 0.5  # seconds


class Command(BaseCommand):
    help = "Hold a prediction run, or a checkpoint, against a dataset's ground truth and print the figures."

    # The checks load every page and endpoint, which takes longer than a small test run.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", help="Slug of the dataset.")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--run", help="Name or id of a prediction run.")
        which.add_argument("--checkpoint", help="Id of a checkpoint, which is asked first.")
        parser.add_argument("--split", help="Name of the split (default: the run's own; needed with --checkpoint).")
        parser.add_argument("--protocol", default="", help=f"Of {', '.join(PROTOCOLS)} (default: coco).")
        parser.add_argument("--rules", type=json_object, default={}, help='Rules in its place, as JSON: {"match_iou": 0.6}.')
        parser.add_argument("--task", default="", help="Judge it as this task type (default: the dataset's).")
        parser.add_argument("--project", help="Slug of the project. Default: as for import_predictions.")
        asking = parser.add_argument_group("how a checkpoint is asked")
        asking.add_argument(
            "--confidence", type=float, help=f"Objects at least so sure (default: {test_runs.LEAST_CONFIDENCE})."
        )
        asking.add_argument("--iou", type=float, help="Overlap above which two objects of a class are one (default: 0.7).")
        asking.add_argument("--max-objects", type=int, help="Of an image, the surest (default: 300).")
        asking.add_argument(
            "--class", action="append", default=[], dest="classes", metavar="THEIRS=OURS",
            help="A class of the checkpoint that the dataset calls otherwise, such as airplane=aeroplane; repeatable.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        dataset = find_dataset(options["dataset"], options["project"])
        split = find_split(dataset, options["split"])
        asked = Asked(split=split, protocol=options["protocol"], rules=options["rules"], task_type=options["task"])
        try:
            if options["checkpoint"]:
                test_run = self.from_checkpoint(dataset, split, options["checkpoint"], asked, settings_of(options))
            elif settings_of(options):
                raise CommandError("--confidence, --iou, --max-objects and --class say how a --checkpoint is asked.")
            else:
                test_run = test_runs.make_from_run(None, find_run(dataset, options["run"]), asked)
        except (TestRefused, RequestRefused) as refused:
            raise CommandError(f"{refused.message} {refused.remedy}".rstrip()) from None
        self.run_to_its_end(test_run)
        self.print_figures(test_run)

    def from_checkpoint(
        self, dataset: Dataset, split: Split | None, key: str, asked: Asked, settings: dict[str, Any]
    ) -> TestRun:
        checkpoint = Checkpoint.objects.filter(pk=int(key) if key.isdecimal() else 0, project=dataset.project_id).first()
        if checkpoint is None:
            known = choosing.in_words(Checkpoint.objects.filter(project=dataset.project_id).runnable())
            raise CommandError(f"There is no checkpoint {key!r} in the project of {dataset.slug}. There are: {known}.")
        if split is None:
            raise CommandError("Name the split with --split.")
        settings = {"confidence": test_runs.LEAST_CONFIDENCE} | settings
        job = inference_requests.make_dataset_job(None, checkpoint, dataset, split, settings)
        test_run = test_runs.make_from_checkpoint(None, checkpoint, dataset, split, job, asked)
        self.infer(job, test_run)
        test_run.refresh_from_db(fields=["inference"])
        return test_run

    def infer(self, job: InferenceJob, test_run: TestRun) -> None:
        """All of the job in this process; what fails is told by the test run that waits for it."""
        show = TerminalProgress(self.stderr) if sys.stderr.isatty() else None
        bells = [job.pk]
        try:
            if show:
                show(0, 0, "Loading the checkpoint")
            while bells:
                inference_runner.run_some(bells.pop(), bells.append)
                if show:
                    job.refresh_from_db(fields=["progress_done"])
                    show(job.progress_done, job.image_count, "Predicting")
            until_over(job, lambda: inference_runner.run_some(job.pk, bells.append))
        except KeyboardInterrupt:
            inference_jobs.cancel(job)
            test_run.cancel()
            raise CommandError("Interrupted. Nothing was stored.") from None
        finally:
            if show:
                show.clear()

    def run_to_its_end(self, test_run: TestRun) -> None:
        show = TerminalProgress(self.stderr) if sys.stderr.isatty() else None
        try:
            run_job(test_run, lambda heartbeat: judging.work_on(test_run, heartbeat), show)
            until_over(test_run)
        except KeyboardInterrupt:
            test_run.cancel()
            raise CommandError("Interrupted. Nothing was stored.") from None
        finally:
            if show:
                show.clear()
        if test_run.status != JobStatus.COMPLETED:
            raise CommandError(test_run.error or f"The test run is {test_run.get_status_display().lower()}.")

    def print_figures(self, test_run: TestRun) -> None:
        for name in in_order(test_run):
            value = test_run.metrics[name]
            told = f"not defined: {test_run.undefined.get(name, '')}" if value is None else figure(value)
            low, high = test_run.intervals.get(name, (None, None))
            between = "" if low is None else f"  ({low:.6f} to {high:.6f})"
            self.stdout.write(f"{name:<24} {told}{between}")
        for warning in test_run.warnings:
            self.stdout.write(f"! {warning}")
        self.stdout.write(str(test_run.pk))


def json_object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError
    return found


def until_over(job: Job, take_over: Callable[[], object] | None = None) -> None:
    """Workers that run beside this command may have a part of it, or all; `take_over` does what one that died has left."""
    job.refresh_from_db()
    while job.is_active:
        time.sleep(SHARED_PAUSE)
        if take_over:
            take_over()
        job.refresh_from_db()


def in_order(test_run: TestRun) -> list[str]:
    """The first figure first, then averages of precision and recall, then the others; the database keeps no order."""
    first = test_run.primary_metric_name
    return sorted(
        test_run.metrics, key=lambda name: (name != first, not name.startswith("AP"), not name.startswith("AR"), name)
    )


def figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6f}"


def settings_of(options: dict[str, Any]) -> dict[str, Any]:
    """What was said of how a checkpoint is asked. Raises RequestRefused."""
    found = inference_requests.checked_settings(options)
    mapping = dict(each.split("=", 1) if "=" in each else (each, "") for each in options["classes"])
    return found | ({"class_mapping": mapping} if mapping else {})


def find_split(dataset: Dataset, name: str | None) -> Split | None:
    if name is None:
        return None
    split = dataset.splits.filter(name=name).first()
    if split is None:
        raise CommandError(
            f"{dataset.slug} has no split {name!r}. Splits: {', '.join(each.name for each in dataset.splits.all())}."
        )
    return split


def find_run(dataset: Dataset, wanted: str) -> PredictionRun:
    runs = PredictionRun.objects.completed().filter(dataset=dataset)
    found = runs.filter(name=wanted).first() or (runs.filter(pk=int(wanted)).first() if wanted.isdecimal() else None)
    if found is None:
        names = ", ".join(runs.values_list("name", flat=True)[:10]) or "none yet"
        raise CommandError(f"{dataset.slug} has no run {wanted!r}. Runs: {names}.")
    return found
