"""The items of a curated set's draft: put in, edited, taken out, brought by a file, or collected from what was asked or seen."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import Max

from datasets.models import Sample
from predictions.curation import BATCH, SetConflict, begin_draft, locked_draft, set_rules
from predictions.models import PredictionSet, PredictionSetItem, PredictionSetVersion, TextPrediction
from predictions.prediction_sets import SetRefused
from predictions.set_content import as_record
from predictions.set_files.base import MOST_ITEMS, ItemRecord, Problem, SetContent, SetFileRefused, key_of, made_item

WRITTEN = ["prompt", "messages", "sample", "references", "validators", "tags", "weight", "notes", "metadata"]


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
