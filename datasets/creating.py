"""Making datasets."""

from itertools import count

from django.db import transaction
from django.utils.text import slugify

from accounts.models import Project, User
from datasets.models import Dataset

SLUG_LENGTH = 110  # leaves room for a number


@transaction.atomic
def create_dataset(user: User, project: Project, name: str, task_type: str, description: str = "") -> Dataset:
    """A new, empty dataset. Its slug, which commands use, is made from the name and stays."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    return Dataset.objects.create(
        project=project,
        name=name,
        slug=_free_slug(project, name),
        task_type=task_type,
        description=description,
        created_by=user,
    )


def _free_slug(project: Project, name: str) -> str:
    stem = slugify(name)[:SLUG_LENGTH] or "dataset"
    taken = set(Dataset.objects.filter(project=project, slug__startswith=stem).values_list("slug", flat=True))
    return next(slug for number in count(1) if (slug := stem if number == 1 else f"{stem}-{number}") not in taken)
