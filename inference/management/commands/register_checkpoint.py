from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Project
from datasets.commands import find_project
from inference import adapters
from inference.adapters.hub import is_hub_name
from inference.checkpoints import CheckpointRefused, Told, register_hub, register_path
from predictions.models import Checkpoint, TrainingJob


class Command(BaseCommand):
    help = "Register a file of weights, which stays where it is, as a checkpoint. The last line is its id alone."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path",
            help="The file: .pt, .pth, .safetensors or .onnx; or timm's name on the Hugging Face hub, hf-hub:OWNER/MODEL.",
        )
        parser.add_argument("--framework", choices=sorted(adapters.known()), help="Default: told from the file.")
        parser.add_argument("--architecture", default="", help="Of timm, such as resnet18, where the file does not say.")
        parser.add_argument(
            "--class-names", type=Path, help="A file of the classes' names, one a line, in order of the outputs."
        )
        parser.add_argument("--job", help="Id of the training job that it comes from.")
        parser.add_argument("--epoch", type=float)
        parser.add_argument("--name", default="", help="Default: the file's name.")
        parser.add_argument("--project", help="Slug. Default: the job's, else the personal project of the first superuser.")

    def handle(self, *args: Any, **options: Any) -> None:
        job = self._find_job(options["job"], options["project"]) if options["job"] else None
        project = job.project if job else find_project(options["project"])
        told = Told(
            framework=options["framework"] or "",
            architecture=options["architecture"],
            class_names=_names_in(options["class_names"]),
            name=options["name"] or options["path"].rstrip("/").rpartition("/")[2],
            epoch=options["epoch"],
        )
        try:
            checkpoint = _registered(project, options["path"], told, job)
        except (CheckpointRefused, OSError) as refusal:
            raise CommandError(f"{refusal} {getattr(refusal, 'remedy', '')}".strip()) from None
        if not checkpoint.inspection["is_harmless"]:
            needs = checkpoint.inspection["problem"] or ", ".join(checkpoint.inspection["refused"])
            self.stdout.write(f"It will not be loaded before an administrator trusts it: {needs}")
        self.stdout.write(str(checkpoint.pk))

    def _find_job(self, job_id: str, project: str | None) -> TrainingJob:
        jobs = TrainingJob.objects.select_related("project").filter(job_id=job_id)
        found = list(jobs.filter(project=find_project(project)) if project else jobs)
        if len(found) != 1:
            known = ", ".join(TrainingJob.objects.values_list("job_id", flat=True)[:10]) or "none yet"
            raise CommandError(
                f"Several projects have a job '{job_id}': name one with --project." if found else
                f"There is no training job '{job_id}'. Jobs: {known}."
            )  # fmt: skip
        return found[0]


def _registered(project: Project, place: str, told: Told, job: TrainingJob | None) -> Checkpoint:
    if is_hub_name(place):
        return register_hub(project, place, told, job=job)
    return register_path(project, Path(place).resolve(), told, job=job)


def _names_in(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The class names cannot be read: {error}") from None
