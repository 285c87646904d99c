"""Files of curated sets on their way in and out: read and checked as a whole, then stored as a whole."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from accounts.models import Project, User
from datasets.importers.files import lies_within
from predictions import curation, draft_items, set_content, set_files
from predictions.curation import SetConflict
from predictions.draft_items import Changed
from predictions.models import PredictionSet, PredictionSetVersion
from predictions.set_files.base import BadField, Problem, Reading, SetContent, SetFileRefused

MODES = {"add": "Add to the draft; items under a known key are changed", "replace": "Replace all that the draft holds"}
MOST_FILES = 200


@dataclass(frozen=True)
class Imported:
    """What an import came to."""

    asked: PredictionSet
    content: SetContent
    changed: Changed
    published: PredictionSetVersion | None = None


def read_file(
    name: str, data: bytes, *, file_format: str = "", skips_unknown: bool = False, folder: Path | None = None
) -> SetContent:
    """What a file of that name holds; with a folder, files that it names are read from there. Raises SetFileRefused."""
    key = file_format or set_files.sniff(name)
    reading = Reading(skips_unknown=skips_unknown)
    if folder is not None:
        reading.files = files_below(folder)
    return set_files.read(key, data, reading)


def files_below(folder: Path) -> Callable[[str], list[tuple[str, str]]]:
    """Finds files by a pattern below the folder; what leads out of it is not there."""

    def find(pattern: str) -> list[tuple[str, str]]:
        try:
            paths = sorted(path for path in folder.glob(pattern) if lies_within(path, folder))
            return [(str(path.relative_to(folder)), path.read_text(encoding="utf-8-sig")) for path in paths[:MOST_FILES]]
        except (ValueError, NotImplementedError, OSError):
            return []

    return find


@transaction.atomic
def import_set(
    project: Project,
    user: User | None,
    name: str,
    content: SetContent,
    *,
    mode: str = "",
    publishes: bool = False,
    note: str = "",
) -> Imported:
    """The content into the set's draft, made where there is none; all of it or nothing.

    Without a mode only an empty set takes it. Raises SetRefused, SetConflict and SetFileRefused.
    """
    asked = PredictionSet.objects.filter(project=project, name=name.strip()).first()
    asked = asked or curation.create_set(project, user, name)
    draft = curation.begin_draft(asked)
    if not mode and draft.item_count:
        raise SetConflict(
            f"'{asked.name}' holds {draft.item_count:,} items already.", "Say whether to add to them or to replace them."
        )
    changed = draft_items.import_content(asked, content, replaces=mode == "replace")
    published = curation.publish(asked, user, note) if publishes else None
    return Imported(asked, content, changed, published)


def export(version: PredictionSetVersion, file_format: str) -> str:
    """The version as a file. Raises SetFileRefused for what the format cannot hold."""
    try:
        return set_files.write(file_format, set_content.content_of(version))
    except BadField as bad:
        raise SetFileRefused([Problem(str(bad), bad.remedy, field=bad.name)]) from None


def file_name(version: PredictionSetVersion, file_format: str) -> str:
    """A name for the file that holds no sign a file system may not know."""
    stem = (
        "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in version.prediction_set.name).strip("-.") or "set"
    )
    return f"{stem}-{'draft' if version.is_open else version.number}{set_files.FORMATS[file_format][2][0]}"


def told(content: SetContent) -> list[str]:
    """What people should know of what was read, in words."""
    notes = []
    if content.left_out:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in content.left_out.most_common())
        notes.append(f"Left out, having no counterpart here: {kinds}.")
    if content.repeated:
        notes.append(f"{content.repeated:,} rows repeat earlier ones and count once.")
    if content.extra:
        names = ", ".join(name for name, _ in content.extra.most_common(12))
        notes.append(f"Kept as metadata: {names}.")
    return notes
