"""What the import commands share: finding the dataset, doing the job in this process, telling how it goes."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from accounts.models import Project, User
from accounts.projects import personal_project
from datasets import requests, task_types
from datasets.importers.problems import FIXES, ImportRefused
from datasets.models import Annotation, Dataset, DatasetImport, JobStatus
from datasets.models.imports import ImportJob
from datasets.runner import Heartbeat, run_job
from datasets.work import work_on


class ImportCommand(BaseCommand):
    """An import on the command line: the same row and the same code as in the browser, run at once."""

    # The checks load every page and endpoint, which takes longer than a small import.
    requires_system_checks: list[str] = []

    def add_source_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--split", default="val", help="The split to import into (default: val).")
        parser.add_argument("--project", help="Slug of the project. Default: the personal project of the first superuser.")
        parser.add_argument("--dry-run", action="store_true", help="Only look: print the import doctor's report.")
        parser.add_argument(
            "--fix", action="append", default=[], choices=list(FIXES), help="Switch a fix of the import doctor on; repeatable."
        )

    def run_to_its_end(self, job: ImportJob, work: Callable[[Heartbeat], None]) -> None:
        """Do the work with progress on a terminal; the last line holds the counts. Raises CommandError on failure."""
        show = TerminalProgress(self.stderr) if sys.stderr.isatty() else None
        try:
            run_job(job, work, show)
        except KeyboardInterrupt:
            job.cancel()
            raise CommandError("Interrupted. Nothing was stored.") from None
        finally:
            if show:
                show.clear()
        if job.status == JobStatus.FAILED:
            raise CommandError(job.error)
        print_problems(self, job)

    def refuse(self, refusal: ImportRefused) -> CommandError:
        return CommandError(refusal.in_words())


class DatasetImportCommand(ImportCommand):
    """A command that imports ground truth: `NAME SOURCE`."""

    importer: str
    default_task: str
    source_help: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="Name or slug of the dataset; it is made where it does not exist.")
        parser.add_argument("source", type=Path, help=self.source_help)
        parser.add_argument("--images", type=Path, help="Folder of the image files. Without it: blank canvases of their size.")
        parser.add_argument(
            "--task", choices=list(task_types.TASK_TYPES),
            help=f"Task type of a new dataset (default: {self.default_task}; pose where its objects have keypoints).",
        )  # fmt: skip
        parser.add_argument("--replace", "--yes", action="store_true", help="Replace the split without asking.")
        self.add_source_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        project = find_project(options["project"])
        dataset, is_new = find_or_make_dataset(project, options["name"], options["task"] or self.default_task)
        try:
            job = self._make_job(dataset, options)
            self.run_to_its_end(job, lambda heartbeat: work_on(job, heartbeat))
            if is_new and not options["task"]:
                become_pose(dataset)
        except ImportRefused as refusal:
            raise self.refuse(refusal) from None
        finally:
            if is_new and not dataset.splits.exists():
                dataset.delete()
        self.stdout.write(last_line(job, dataset))

    def _make_job(self, dataset: Dataset, options: dict[str, Any]) -> DatasetImport:
        return requests.make_dataset_import(
            None,
            dataset,
            split=options["split"],
            upload=None,
            path=options["source"].absolute(),
            images=options["images"].absolute() if options["images"] else None,
            importer=self.importer,
            fixes=options["fix"],
            replace=options["replace"] or confirmed(self, dataset, options),
            dry_run=options["dry_run"],
        )


def become_pose(dataset: Dataset) -> None:
    """What a file of keypoints is for, where nobody has said."""
    if Annotation.objects.filter(sample__dataset=dataset, keypoints__isnull=False).exists():
        dataset.task_type = "pose"
        dataset.save(update_fields=["task_type"])


def find_project(slug: str | None) -> Project:
    if slug:
        project = Project.objects.filter(slug=slug).first()
        if project is None:
            raise CommandError(
                f"There is no project {slug!r}. Projects: {_known(Project.objects.values_list('slug', flat=True))}."
            )
        return project
    owner = User.objects.filter(is_superuser=True).order_by("pk").first()
    if owner is None:
        raise CommandError("There is no superuser yet. Make one with 'manage.py createsuperuser', or name a --project.")
    return personal_project(owner)


def find_or_make_dataset(project: Project, name: str, task_type: str) -> tuple[Dataset, bool]:
    slug = slugify(name)[:120]
    if not slug:
        raise CommandError(f"The name {name!r} has no letters or digits to make an address of.")
    return Dataset.objects.get_or_create(project=project, slug=slug, defaults={"name": name[:120], "task_type": task_type})


def find_dataset(slug: str, project_slug: str | None) -> Dataset:
    """By slug: in the named project, else in the default one, else the only one of that slug anywhere."""
    if project_slug:
        found = Dataset.objects.filter(project=find_project(project_slug), slug=slug).first()
    else:
        everywhere = list(Dataset.objects.filter(slug=slug).select_related("project"))
        owner = User.objects.filter(is_superuser=True).order_by("pk").first()
        own = [dataset for dataset in everywhere if owner and dataset.project.personal_owner_id == owner.pk]
        if not own and len(everywhere) > 1:
            raise CommandError(f"Several projects have a dataset {slug!r}: name one with --project.")
        found = next(iter(own or everywhere), None)
    if found is None:
        raise CommandError(f"There is no dataset {slug!r}. Datasets: {_known(Dataset.objects.values_list('slug', flat=True))}.")
    return found


def _known(slugs: Any) -> str:
    names = list(slugs[:11])
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") if names else "none yet"


def confirmed(command: BaseCommand, dataset: Dataset, options: dict[str, Any]) -> bool:
    """Ask on a terminal whether the split may be replaced; elsewhere the import refuses and names the option."""
    split = dataset.splits.filter(name=options["split"]).first()
    if options["dry_run"] or split is None or not split.sample_count:
        return False
    question = f"Replace {split.sample_count:,} images and {split.annotation_count:,} annotations of split {split.name}?"
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Say so with --replace, or import into another --split.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


class TerminalProgress:
    """One line that is overwritten, at most ten times a second."""

    def __init__(self, stream: Any) -> None:
        self.stream, self._last = stream, 0.0

    def __call__(self, done: int, total: int, stage: str) -> None:
        now = time.monotonic()
        if now - self._last < 0.1:
            return
        self._last = now
        share = f"{100 * done // total:3d} %" if total else ""
        self.stream.write(f"\r\033[K{share} {stage}", ending="")

    def clear(self) -> None:
        self.stream.write("\r\033[K", ending="")


def print_problems(command: BaseCommand, job: ImportJob) -> None:
    for problem in job.report.get("problems", []):
        word = "rejected" if problem["rejected"] else "noticed"
        command.stdout.write(f"{problem['count']:>9,} {word}: {problem['label']} ({problem['reason']}). {problem['remedy']}")
        for example in problem["examples"][:3]:
            place = f"row {example['row']}: " if example.get("row") else ""
            command.stdout.write(f"{'':>11}{place}{example.get('where', '')} {example.get('detail', '')}".rstrip())
    if job.dry_run:
        for fix in job.report.get("fixes", []):
            command.stdout.write(f"{'on' if fix['on'] else 'off':>9} --fix {fix['key']}: {fix['label']}")


def last_line(job: ImportJob, dataset: Dataset) -> str:
    """The counts, kind by kind: read = stored + rejected."""
    found, done, verb = job.report, "stored", "Imported into"
    if job.status == JobStatus.DRAFT:
        done, verb = "fit", "Looked at, for"
    kinds = (
        f"{found['read'][kind]:,} {kind} read = {found['stored'][kind]:,} {done} + {found['rejected'][kind]:,} rejected"
        for kind in found["read"]
        if kind != "categories"
    )
    return f"{verb} {dataset.slug}: {', '.join(kinds)}"
