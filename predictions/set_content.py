"""What a version of a set holds, the hash of it, and what differs between two versions."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from predictions.models import PredictionSetItem, PredictionSetVersion
from predictions.set_files.base import ItemRecord, SetContent

# What an item is compared by, in the words of people; `notes` changes no outcome.
COMPARED = ("prompt", "messages", "image", "references", "validators", "tags", "weight", "notes")
OUTCOME = tuple(name for name in COMPARED if name != "notes")


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
