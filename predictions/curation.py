"""Curated sets: drafts that people edit, versions that are frozen when they are published, and what differs between two.

Every change of a set's draft locks the set first, so that two editors take turns and two publishers make one version.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from accounts.models import Project, User
from datasets.models import Sample
from predictions import image_checks, validators
from predictions.models import (
    PredictionRun,
    PredictionSet,
    PredictionSetItem,
    PredictionSetVersion,
    SetKind,
    TextPrediction,
    TrainingJob,
)
from predictions.panel import SET_REFERENCE
from predictions.prediction_sets import SetRefused
from predictions.set_files.base import MOST_ITEMS, ItemRecord, Problem, SetContent, SetFileRefused, key_of, made_item

# What an item is compared by, in the words of people; `notes` changes no outcome.
COMPARED = ("prompt", "messages", "image", "references", "validators", "tags", "weight", "notes")
OUTCOME = tuple(name for name in COMPARED if name != "notes")
BATCH = 1000


class SetConflict(SetRefused):
    """What cannot be done in the present state of the set."""


@dataclass(frozen=True)
class Changed:
    """What a change of items came to, in counts."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    same: int = 0

    def in_words(self) -> str:
        parts = [f"{self.added:,} added"] if self.added or not (self.updated or self.removed or self.same) else []
        parts += [f"{self.updated:,} changed"] if self.updated else []
        parts += [f"{self.removed:,} removed"] if self.removed else []
        parts += [f"{self.same:,} there already"] if self.same else []
        return ", ".join(parts)


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


# --- Items of the draft ------------------------------------------------------------------------------------------------------
@transaction.atomic
def put_items(asked: PredictionSet, records: Sequence[ItemRecord], *, updates: bool = True) -> Changed:
    """Add items to the draft, made where there is none. What stands under a key already is changed, or with `updates` off stays.

    Raises SetFileRefused for images that are not there, SetRefused beyond the most items.
    """
    draft = begin_draft(asked)
    samples = _samples(asked, records)
    keys = [record.key for record in records]
    known = {item.key: item for item in draft.items.filter(key__in=keys).select_related("sample")}
    fresh: list[PredictionSetItem] = []
    changed: list[PredictionSetItem] = []
    same = 0
    place = next_place(draft)
    for record in {record.key: record for record in records}.values():
        item = known.get(record.key)
        if item is None:
            fresh.append(
                _fill(PredictionSetItem(version=draft, key=record.key, sample_index=place + len(fresh)), record, samples)
            )
        elif updates and as_record(item) != record:
            changed.append(_fill(item, record, samples))
        else:
            same += 1
    _check_room(draft.item_count + len(fresh))
    PredictionSetItem.objects.bulk_create(fresh, batch_size=BATCH)
    if changed:
        PredictionSetItem.objects.bulk_update(changed, WRITTEN, batch_size=BATCH)
    recount(draft)
    return Changed(added=len(fresh), updated=len(changed), same=same)


WRITTEN = ["prompt", "messages", "sample", "references", "validators", "tags", "weight", "notes", "metadata"]


def _fill(item: PredictionSetItem, record: ItemRecord, samples: Mapping[tuple[str, str, str], Sample]) -> PredictionSetItem:
    item.prompt, item.messages = record.prompt, record.messages
    item.references, item.validators, item.tags = list(record.references), list(record.validators), list(record.tags)
    item.weight, item.notes, item.metadata = record.weight, record.notes, dict(record.metadata)
    item.sample = None
    if record.image is not None:
        item.sample = samples.get(_place(record.image))
        item.metadata["image"] = record.image
    return item


def _place(image: Mapping[str, str]) -> tuple[str, str, str]:
    return image["dataset"], image["split"], image["file_name"]


def _samples(asked: PredictionSet, records: Sequence[ItemRecord]) -> dict[tuple[str, str, str], Sample]:
    """The images that the records name, in the set's project. Raises SetFileRefused, row by row."""
    wanted = {_place(record.image) for record in records if record.image is not None}
    if not wanted:
        return {}
    samples = Sample.objects.filter(
        dataset__project=asked.project_id,
        dataset__slug__in={dataset for dataset, _, _ in wanted},
        split__name__in={split for _, split, _ in wanted},
        file_name__in={name for _, _, name in wanted},
    ).select_related("dataset", "split")
    found = {(sample.dataset.slug, sample.split.name, sample.file_name): sample for sample in samples.order_by("-pk")}
    missing = [
        Problem(
            f"This project has no image {record.image['file_name']!r} in {record.image['dataset']}/{record.image['split']}.",
            "Name dataset (its slug), split and file name of an image that is here, or leave the item out.",
            record.row,
            "image",
        )
        for record in records
        if record.image is not None and _place(record.image) not in found
    ]
    if missing:
        raise SetFileRefused(missing[:20])
    return found


def _check_room(count: int) -> None:
    if count > MOST_ITEMS:
        raise SetRefused(
            f"It would hold {count:,} items; a set holds up to {MOST_ITEMS:,}.", "Make another set for some of them."
        )


def next_place(draft: PredictionSetVersion) -> int:
    last = draft.items.aggregate(last=Max("sample_index"))["last"]
    return 0 if last is None else last + 1


def recount(draft: PredictionSetVersion) -> None:
    draft.item_count = draft.items.count()
    draft.save(update_fields=["item_count"])


@transaction.atomic
def edit_item(asked: PredictionSet, key: str, record: ItemRecord) -> PredictionSetItem:
    """Change an item of the draft. A key that was made from the question follows it: it is then another question.

    Raises SetRefused where there is no such item, or where another has the new key.
    """
    draft = locked_draft(asked)
    item = draft.items.select_related("sample").filter(key=key).first()
    if item is None:
        raise SetConflict(f"The draft of '{asked.name}' holds no item '{key}' any more.", "Look at the draft anew.")
    before = as_record(item)
    followed = key == key_of_record(before) and record.key == key
    item.key = key_of_record(record) if followed else record.key
    if item.key != key and draft.items.filter(key=item.key).exists():
        raise SetConflict(f"The draft holds another item '{item.key}' already.", "Change that one, or choose another key.")
    _fill(item, record, _samples(asked, [record]))
    item.save()
    return item


@transaction.atomic
def remove_items(asked: PredictionSet, keys: Collection[str]) -> int:
    """Take items out of the draft; how many there were."""
    draft = locked_draft(asked)
    count = draft.items.filter(key__in=list(keys)).delete()[0]
    recount(draft)
    return count


@transaction.atomic
def import_content(asked: PredictionSet, content: SetContent, *, replaces: bool) -> Changed:
    """What a file holds, into the draft: added to it (items under a known key are changed), or in the place of all it held."""
    draft = begin_draft(asked)
    removed = 0
    if replaces:
        gone = draft.items.exclude(key__in=[record.key for record in content.items])
        removed = gone.delete()[0]
        recount(draft)
    if replaces or content.validators or content.pass_threshold is not None:
        set_rules(asked, content.validators, content.pass_threshold)
    done = put_items(asked, content.items)
    if replaces:
        _follow_order(draft, content.items)
    return Changed(done.added, done.updated, removed, done.same)


def _follow_order(draft: PredictionSetVersion, records: Sequence[ItemRecord]) -> None:
    places = {record.key: place for place, record in enumerate(records)}
    items = list(draft.items.only("pk", "key"))
    for item in items:
        item.sample_index = places[item.key]
    PredictionSetItem.objects.bulk_update(items, ["sample_index"], batch_size=BATCH)


def key_of_record(record: ItemRecord) -> str:
    """The key that its question has where none is given."""
    return key_of(record.prompt, record.messages, record.image)


# --- Publishing --------------------------------------------------------------------------------------------------------------
def as_record(item: PredictionSetItem) -> ItemRecord:
    """The item as files hold it, whoever may have deleted its image since."""
    metadata = {name: value for name, value in item.metadata.items() if name != "image"}
    is_image = item.prompt is None and item.messages is None
    return ItemRecord(
        key=item.key,
        prompt=item.prompt,
        messages=item.messages,
        image=item.metadata.get("image") if is_image else None,
        references=list(item.references),
        validators=item.validators,
        tags=list(item.tags),
        weight=float(item.weight),
        notes=item.notes,
        metadata=metadata if is_image else dict(item.metadata),
    )


def content_of(version: PredictionSetVersion) -> SetContent:
    items = version.items.order_by("sample_index", "pk")
    return SetContent([as_record(item) for item in items], version.validators, version.pass_threshold)


def content_hash(content: SetContent) -> str:
    """Of everything that changes outcomes, whatever the order of the items."""
    items = sorted(
        ([record.key, *(getattr(record, name) for name in OUTCOME)] for record in content.items), key=lambda row: row[0]
    )
    whole = {"items": items, "validators": content.validators, "pass_threshold": content.pass_threshold}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


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


# --- Differences -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Change:
    """An item in two versions, and the names of the fields that differ."""

    old: ItemRecord
    new: ItemRecord
    fields: list[str]


@dataclass
class SetDiff:
    added: list[ItemRecord] = field(default_factory=list)
    removed: list[ItemRecord] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    unchanged: int = 0
    # Names of what differs for all items: validators, pass_threshold.
    rules: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.changed or self.rules)


def json_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def diff(old: PredictionSetVersion | None, new: PredictionSetVersion) -> SetDiff:
    """What `new` holds that `old` does not, and the other way round, matched by key; against nothing, all is added."""
    before = content_of(old) if old is not None else SetContent()
    after = content_of(new)
    known = {record.key: record for record in before.items}
    found = SetDiff()
    for record in after.items:
        other = known.pop(record.key, None)
        if other is None:
            found.added.append(record)
            continue
        fields = [name for name in COMPARED if getattr(record, name) != getattr(other, name)]
        if fields:
            found.changed.append(Change(other, record, fields))
        else:
            found.unchanged += 1
    found.removed = list(known.values())
    found.rules = [name for name in ("validators", "pass_threshold") if getattr(before, name) != getattr(after, name)]
    return found


# --- From what was asked or seen ---------------------------------------------------------------------------------------------
def records_of_answers(answers: Iterable[TextPrediction]) -> list[ItemRecord]:
    """The questions of these answers, with the references that they were held against; the answers come with their items."""
    return [
        as_record(answer.item)
        if answer.references is None
        else replace(as_record(answer.item), references=list(answer.references))
        for answer in answers
    ]


def records_of_images(samples: Iterable[Sample]) -> list[ItemRecord]:
    """Images as records; the samples come with dataset and split."""
    places = ({"dataset": sample.dataset.slug, "split": sample.split.name, "file_name": sample.file_name} for sample in samples)
    return [made_item(row=0, image=place) for place in places]
