"""Sets of questions: registering what was drawn, and finding a version by its name."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from accounts.models import Project, User
from predictions.models import PredictionSet, PredictionSetItem, PredictionSetVersion, SetKind, TrainingJob
from predictions.panel import SET_REFERENCE

MOST_ITEMS = 10_000
LONGEST_NAME = 120


class SetRefused(Exception):
    """A set that cannot be registered or found: why, and how to mend it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True)
class NewItem:
    key: str
    sample_index: int
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    references: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


def content_hash(items: Sequence[NewItem]) -> str:
    """Of the questions and their references, whatever their order."""
    ordered = sorted(items, key=lambda item: item.key)
    content = [[item.key, item.prompt, item.messages, item.references] for item in ordered]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@transaction.atomic
def register_sampled(
    job: TrainingJob, user: User | None, name: str, items: Sequence[NewItem], *, source: str = "", seed: int | None = None
) -> PredictionSetVersion:
    """The version that holds these items, made where there is none. The job's later answers under that name belong to it.

    Raises SetRefused for a name that people keep a curated set under.
    """
    asked = PredictionSet.objects.get_or_create(project=job.project, name=name, defaults={"created_by": user})[0]
    asked = PredictionSet.objects.select_for_update(no_key=True).get(pk=asked.pk)
    if asked.kind != SetKind.SAMPLED:
        raise SetRefused(
            f"'{name}' is a curated set; what was drawn cannot become a version of it.",
            f'Use it as it is, with prediction_set="{name}@latest", or give the drawn set another name.',
        )
    digest = content_hash(items)
    version = asked.versions.filter(content_hash=digest).first()
    if version is None:
        number = (asked.versions.values_list("number", flat=True).order_by("-number").first() or 0) + 1
        version = asked.versions.create(
            number=number, content_hash=digest, item_count=len(items), source=source[:500], seed=seed
        )
        PredictionSetItem.objects.bulk_create(
            [PredictionSetItem(version=version, **vars(item)) for item in items], batch_size=1000
        )
    note_asked(job, version)
    return version


def note_asked(job: TrainingJob, version: PredictionSetVersion) -> None:
    """From now on the job's answers under the set's name belong to this version."""
    name = version.prediction_set.name
    if job.registered_sets.get(name) == version.number:
        return
    with transaction.atomic():
        locked = TrainingJob.objects.select_for_update(no_key=True).get(pk=job.pk)
        locked.registered_sets[name] = version.number
        locked.save(update_fields=["registered_sets"])
    job.registered_sets = locked.registered_sets


def find_version(project: Project, reference: str) -> PredictionSetVersion:
    """By `name@3` or `name@latest`. Raises SetRefused, which lists what there is."""
    match = SET_REFERENCE.fullmatch(reference)
    if not match:
        raise SetRefused(f"{reference!r} names no version of a set.", "Write name@3 or name@latest.")
    versions = (
        PredictionSetVersion.objects.published()
        .filter(prediction_set__project=project, prediction_set__name=match["name"])
        .select_related("prediction_set")
    )
    wanted = versions if match["version"] == "latest" else versions.filter(number=int(match["version"]))
    found = wanted.order_by("-number").first()
    if found is None:
        raise SetRefused(f"There is no prediction set {reference!r} in this project.", _what_there_is(project, match["name"]))
    return found


def check_fits(job: TrainingJob, version: PredictionSetVersion) -> None:
    """Raises SetRefused where a training of text would be asked about images."""
    images = version.items.filter(prompt=None, messages__isnull=True).count() if job.task_type == "text" else 0
    if images:
        raise SetRefused(
            f"{version} holds {images:,} image{'s' if images > 1 else ''}, which a training of text cannot be asked.",
            "Name a set of prompts or messages, or take the images out of the next version.",
        )


def _what_there_is(project: Project, name: str) -> str:
    numbers = PredictionSetVersion.objects.published().filter(prediction_set__project=project, prediction_set__name=name)
    known = [str(number) for number in numbers.order_by("number").values_list("number", flat=True)]
    if known:
        return f"Its versions are {', '.join(known)}."
    names = list(PredictionSet.objects.filter(project=project).values_list("name", flat=True)[:10])
    return f"Its sets are {', '.join(names)}." if names else "It has no sets yet."


def version_for_answers(job: TrainingJob, reference: str) -> PredictionSetVersion:
    """What a job's answers belong to: a version by `name@3`, the one that the job registered under a name, or its own set.

    A name nobody registered, and no name at all, stand for an open set that grows with the answers.
    """
    if "@" in reference:
        return find_version(job.project, reference)
    if len(reference) > LONGEST_NAME:
        raise SetRefused(f"The name of a set has up to {LONGEST_NAME} characters.", "Give it a shorter name.")
    name = reference or f"answers of {job.job_id}"[:LONGEST_NAME]
    asked = PredictionSet.objects.get_or_create(project=job.project, name=name, defaults={"created_by": job.owner})[0]
    versions = asked.versions.published().select_related("prediction_set")
    number = job.registered_sets.get(name)
    found = versions.filter(number=number).first() if number else versions.order_by("-number").first()
    if found is None and asked.kind == SetKind.CURATED:
        raise SetRefused(f"The curated set '{name}' has no published version yet.", "Publish its draft, then send again.")
    if found is None:
        found = PredictionSetVersion.objects.get_or_create(prediction_set=asked, number=1)[0]
    return found


def add_items(version: PredictionSetVersion, items: Sequence[NewItem]) -> None:
    """New items of an open version; somebody else may have made them meanwhile."""
    with transaction.atomic():
        PredictionSetVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
        PredictionSetItem.objects.bulk_create(
            [PredictionSetItem(version=version, **vars(item)) for item in items], ignore_conflicts=True
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE predictions_predictionsetversion SET item_count ="
                " (SELECT count(*) FROM predictions_predictionsetitem WHERE version_id = %s) WHERE id = %s",
                [version.pk, version.pk],
            )
