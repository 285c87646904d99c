from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import Project
from config.demo.checkpoints import are_complete, fill_networks, folder, missing_packages
from config.management.commands.demo import USERNAME


class Command(BaseCommand):
    help = (
        "Train a small detector, segmenter and pose model on generated pictures, keep them under the data folder, and register "
        "them with the demo project, each with a run on its pictures. Takes some minutes, once; needs torch and ultralytics."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(personal_owner__username=USERNAME).select_related("personal_owner").first()
        if project is None or project.personal_owner is None:
            self.stdout.write("There is no demo project to make weights for; 'manage.py demo' fills it.")
        elif missing := missing_packages():
            names = " and ".join(missing)
            self.stdout.write(
                f"The demo's detectors are not made here, as {names} is not installed. Install the extras 'inference' and "
                "'ultralytics' and run 'manage.py make_demo_weights' to have them."
            )
        elif are_complete(project):
            self.stdout.write("The demo's detectors stand already.")
        else:
            self.stdout.write(
                f"Making the demo's detectors, once, in the background of everything else; they go to {folder()}."
            )
            fill_networks(project.personal_owner, project, self.stdout.write)
