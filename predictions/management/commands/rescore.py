from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from predictions import scoring
from predictions.models import PredictionRun, TrainingJob
from predictions.rescoring import outdated, rescore


class Command(BaseCommand):
    help = (
        "Score the answers of training jobs anew: all runs whose scores were made under other definitions than today's, "
        "or with --all every run. Each run changes in one step."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--job", help="Only the jobs of this job_id.")
        parser.add_argument("--project", help="Only the jobs of this project (its slug).")
        parser.add_argument("--all", action="store_true", help="Also runs that are up to date, as after new validators.")

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = TrainingJob.objects.all()
        if options["job"]:
            jobs = jobs.filter(job_id=options["job"])
        if options["project"]:
            jobs = jobs.filter(project__slug=options["project"])
        if not jobs.exists():
            raise CommandError("There is no such training job.")
        runs = PredictionRun.objects.filter(job__in=jobs)
        chosen = list((runs if options["all"] else outdated(runs)).order_by("pk").only("pk"))
        answers = sum(rescore(run) for run in chosen)
        self.stdout.write(f"Done! {answers:,} predictions of {len(chosen):,} runs scored under version {scoring.VERSION}.")
