"""Curated sets: drafts that people edit, and versions that are frozen when they are published.

Every change of a set's draft locks the set first, so that two editors take turns and two publishers make one version.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from accounts.models import Project, User
from predictions import image_checks, validators
from predictions.models import PredictionRun, PredictionSet, PredictionSetItem, PredictionSetVersion, SetKind, TrainingJob
from predictions.panel import SET_REFERENCE
from predictions.prediction_sets import SetRefused
from predictions.set_content import content_hash, content_of
from predictions.set_files.base import SetContent

BATCH = 1000


class SetConflict(SetRefused):
    """What cannot be done in the present state of the set."""


# --- Sets and drafts ---------------------------------------------------------------------------------------------------------
def create_set(project: Project, user: User | None, name: str, description: str = "") -> PredictionSet:
    """An empty curated set with an empty draft. Raises SetRefused for a name that cannot be, SetConflict for one in use."""
    name = name.strip()
    check_name(name)
    try:
        with transaction.atomic():
            made = PredictionSet.objects.create(
                project=project, name=name, kind=SetKind.CURATED, description=description, created_by=user
            )
            made.versions.create(number=1)
    except IntegrityError:
        raise SetConflict(
            f"The project {project.name} has a set '{name}' already.", "Use that one, or choose another name."
        ) from None
    return made


def check_name(name: str) -> None:
    """Raises SetRefused for a name that jobs could not say."""
    if not SET_REFERENCE.fullmatch(f"{name}@latest") or not name.isprintable():
        raise SetRefused(f"{name[:120]!r} cannot name a set.", "Use 1 to 119 characters, without @ and line breaks.")


def golden_sets(project: Project) -> "QuerySet[PredictionSet]":
    """Those that a selection may be added to, newest first."""
    return PredictionSet.objects.filter(project=project, kind=SetKind.CURATED).only("name").order_by("-pk")[:100]


def draft_of(asked: PredictionSet) -> PredictionSetVersion | None:
    return asked.versions.filter(content_hash="").first() if asked.kind == SetKind.CURATED else None


def latest_of(asked: PredictionSet) -> PredictionSetVersion | None:
    """The newest published version."""
    return asked.versions.published().order_by("-number").first()


@transaction.atomic
def begin_draft(asked: PredictionSet) -> PredictionSetVersion:
    """The set's draft: the one there is, else a copy of the latest published version."""
    _lock(asked)
    draft = draft_of(asked)
    if draft is not None:
        return draft
    latest = latest_of(asked)
    number = (asked.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    draft = asked.versions.create(number=number)
    if latest is not None:
        draft.validators, draft.pass_threshold = latest.validators, latest.pass_threshold
        copies = list(latest.items.all())
        for copy in copies:
            copy.pk, copy.version = None, draft
            copy._state.adding = True
        PredictionSetItem.objects.bulk_create(copies, batch_size=BATCH)
        draft.item_count = len(copies)
        draft.save(update_fields=["validators", "pass_threshold", "item_count"])
    return draft


def _lock(asked: PredictionSet) -> None:
    """Take turns with everybody else who changes this set. Raises SetRefused for a sampled set, SetConflict for one that is gone."""
    kind = PredictionSet.objects.select_for_update(no_key=True).filter(pk=asked.pk).values_list("kind", flat=True).first()
    if kind is None:
        raise SetConflict("The set has been deleted meanwhile.", "Go back to the list of sets.")
    if kind != SetKind.CURATED:
        raise SetRefused(
            f"'{asked.name}' is drawn from training data and is not edited.",
            "Make a curated set, and add items of this one to it.",
        )


def locked_draft(asked: PredictionSet, expected: PredictionSetVersion | None = None) -> PredictionSetVersion:
    """The set's draft, for changes within a transaction. Raises SetConflict where it is gone, or another than expected."""
    _lock(asked)
    draft = draft_of(asked)
    if draft is None or (expected is not None and draft.pk != expected.pk):
        raise SetConflict(
            f"'{asked.name}' has no draft; it may have been published meanwhile.", "Begin a draft, then change it."
        )
    return draft


@transaction.atomic
def discard_draft(asked: PredictionSet) -> int:
    """Forget the draft; the number of its items. Published versions stay."""
    draft = locked_draft(asked)
    count = draft.items.all()._raw_delete(asked._state.db or "default")
    draft.delete()
    return int(count)


@transaction.atomic
def set_rules(asked: PredictionSet, rules: Sequence[Mapping[str, Any]], pass_threshold: float | None) -> PredictionSetVersion:
    """What every answer to the draft must satisfy. Raises SetRefused for bad validators."""
    draft = locked_draft(asked)
    wrong = validators.check(rules)
    if wrong:
        raise SetRefused(" ".join(wrong), "Correct the validators of the set.")
    draft.validators, draft.pass_threshold = list(rules), pass_threshold
    draft.save(update_fields=["validators", "pass_threshold"])
    return draft


def runs_on(asked: PredictionSet) -> "QuerySet[PredictionRun]":
    return PredictionRun.objects.filter(set_version__prediction_set=asked)


@transaction.atomic
def delete_set(asked: PredictionSet) -> int:
    """The set with all its versions; the number of its items. Raises SetConflict where runs stand on it."""
    PredictionSet.objects.select_for_update().get(pk=asked.pk)
    used = runs_on(asked).aggregate(runs=Count("pk"), jobs=Count("job", distinct=True))
    if used["runs"]:
        raise SetConflict(
            f"{used['runs']:,} runs of {used['jobs']:,} training jobs have answered '{asked.name}', and stand on its versions.",
            "Delete those jobs first, or keep the set.",
        )
    waiting = jobs_asking(asked)
    if waiting:
        names = ", ".join(job.name for job in waiting[:3])
        raise SetConflict(f"'{asked.name}' is what {names} will ask.", "Change the panel of these jobs first.")
    count = PredictionSetItem.objects.filter(version__prediction_set=asked)._raw_delete(asked._state.db or "default")
    asked.delete()
    return int(count)


def jobs_asking(asked: PredictionSet) -> list[TrainingJob]:
    """Jobs whose panel names this set."""
    jobs = TrainingJob.objects.filter(
        project=asked.project_id,
        config__predictions__source="set",
        config__predictions__prediction_set__startswith=f"{asked.name}@",
    )
    return list(jobs.order_by("-pk")[:100])


# --- Publishing --------------------------------------------------------------------------------------------------------------
@transaction.atomic
def publish(asked: PredictionSet, user: User | None, note: str = "") -> PredictionSetVersion:
    """Freeze the draft under its content's hash.

    Raises SetRefused for an empty draft and bad validators, SetConflict for no draft and for content that a version has already.
    """
    draft = locked_draft(asked)
    content = content_of(draft)
    if not content.items:
        raise SetRefused(f"The draft of '{asked.name}' holds no items.", "Add items, then publish.")
    _check_validators(content)
    digest = content_hash(content)
    equal = asked.versions.filter(content_hash=digest).first()
    if equal is not None:
        raise SetConflict(
            f"The draft asks exactly what version {equal.number} asks; notes apart, nothing has changed.",
            f"Use {equal}, or change the draft first.",
        )
    draft.content_hash, draft.item_count, draft.note = digest, len(content.items), note.strip()[:500]
    draft.published_at, draft.published_by = timezone.now(), user
    draft.save()
    image_checks.check_published(draft)
    return draft


def _check_validators(content: SetContent) -> None:
    """They may have been fine when they were stored, and be unknown to the validators of today."""
    wrong = [f"The set's {reason}" for reason in validators.check(content.validators)]
    for record in content.items:
        applies_to = validators.IMAGE if record.image else validators.TEXT
        wrong += [f"Item '{record.key}': {reason}" for reason in validators.check(record.validators, applies_to)]
        if len(wrong) >= 5:
            break
    if wrong:
        raise SetRefused(" ".join(wrong[:5]), "Correct these validators, then publish.")
