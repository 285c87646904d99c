"""The import doctor for results files: what a file holds, what does not fit and which fix would help."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import reports
from datasets.importers.ids import shift_between
from datasets.importers.problems import ProblemLog
from datasets.models import JobStatus
from datasets.runner import JobCancelled
from predictions import copying
from predictions.coco_results import ResultRow, RowRefused, Truth, parse_row
from predictions.models import PredictionImport
from predictions.results_files import ResultsFile, names_to_keys

# A heuristic speaks up when this share of the rows looks that way.
TELLING_SHARE = 0.05
# The fix of each field's ids.
SHIFTS = {"category_id": "shift_category_ids", "image_id": "shift_image_ids"}


@dataclass
class Signs:
    """What the rows look like, beyond right and wrong."""

    rows: int = 0
    boxes: int = 0
    past_the_edge: int = 0
    like_xyxy: int = 0
    like_fractions: int = 0
    image_ids: set[Any] = field(default_factory=set)
    category_ids: set[Any] = field(default_factory=set)

    def note_ids(self, row: Any) -> None:
        if isinstance(row, Mapping):
            for name, seen in (("image_id", self.image_ids), ("category_id", self.category_ids)):
                if isinstance(row.get(name), (int, str)):
                    seen.add(row[name])

    def note_box(self, row: ResultRow, truth: Truth) -> None:
        width, height = truth.sizes.get(row.sample, (None, None))
        if row.box is None or not width or not height:
            return
        x, y, w, h = row.box
        self.boxes += 1
        beyond = x + w > width * 1.02 or y + h > height * 1.02
        self.past_the_edge += beyond
        self.like_xyxy += beyond and w > x and h > y and w <= width * 1.02 and h <= height * 1.02
        self.like_fractions += max(x, y, w, h) <= 1.0


def examine(job: PredictionImport, results: ResultsFile, truth: Truth) -> None:
    """Look at every row, store nothing; the job becomes a draft with the doctor's report."""
    with reports.recorded_rejects(job) as problems:
        found = _examined(job, results, truth, problems)
    counts = found["predictions"]
    if not job.finish(
        JobStatus.DRAFT,
        report=found,
        read_count=counts["read"],
        stored_count=counts["stored"],
        rejected_count=counts["rejected"],
    ):
        raise JobCancelled


def _examined(job: PredictionImport, results: ResultsFile, truth: Truth, problems: ProblemLog) -> dict[str, Any]:
    tally, signs = copying.Tally(), Signs()
    fixes = frozenset(job.fixes)
    offered: set[str] = {"match_file_stem", "map_by_name"} if results.is_dictionary else set()
    plain = Truth(dict(truth.samples), dict(truth.categories), file_names=truth.file_names, category_names=truth.category_names)
    if not results.is_dictionary or offered <= fixes:
        results.apply(fixes, truth)
        _read(results, truth, fixes, problems, tally, signs)
        offered |= helpful_fixes(signs, plain) if not results.is_dictionary else set()
    else:
        problems.add("foreign_ids", detail="the file carries its own images and categories", count=0, rejected=False)
    offered |= box_fixes(signs, problems)
    _warn_of_shifts(offered - fixes, problems)
    found = report(job, tally, problems, offered=offered | set(fixes))
    found["categories"] = _categories(tally, truth)
    return found


def _read(
    results: ResultsFile, truth: Truth, fixes: frozenset[str], problems: ProblemLog, tally: copying.Tally, signs: Signs
) -> None:
    for number, row in enumerate(results.rows(), start=1):
        tally.read = number
        signs.note_ids(row)
        try:
            parsed = parse_row(row, truth, fixes)
        except RowRefused as refused:
            problems.add(refused.reason, row=number, detail=refused.detail)
        else:
            tally.by_category[parsed.category] += 1
            signs.note_box(parsed, truth)


def _warn_of_shifts(offered: set[str], problems: ProblemLog) -> None:
    """Ids that are known as they are may then mean the wrong class or image: nothing is rejected, and all is wrong."""
    for field_name, fix in SHIFTS.items():
        if fix in offered:
            warn_of_shift(field_name, problems)


def warn_of_shift(field_name: str, problems: ProblemLog) -> None:
    detail = f"moved by one (fix {SHIFTS[field_name]}), every id is known"
    problems.add("ids_shifted_by_one", where=field_name, detail=detail, rejected=False)


def helpful_fixes(signs: Signs, truth: Truth) -> set[str]:
    """Fixes that would make more ids known than are known now."""
    found = set()
    if unknown := {i for i in signs.image_ids if i not in truth.samples}:
        names = names_to_keys(truth.file_names)
        if any(str(i) in names for i in unknown):
            found.add("match_file_stem")
        if shift_between(truth.samples, signs.image_ids) is not None:
            found.add("shift_image_ids")
    if unknown := {i for i in signs.category_ids if i not in truth.categories}:
        if unknown & set(truth.category_names.values()):
            found.add("map_by_name")
        if shift_between(truth.categories, signs.category_ids) is not None:
            found.add("shift_category_ids")
    return found


def box_fixes(signs: Signs, problems: ProblemLog) -> set[str]:
    """Warnings and fixes for boxes that look like another format."""
    found = set()
    if signs.boxes and signs.like_fractions > 0.95 * signs.boxes:
        problems.add("box_looks_like_fraction", count=signs.like_fractions, rejected=False)
        found.add("scale_fractions")
    if signs.boxes and signs.like_xyxy > TELLING_SHARE * signs.boxes:
        problems.add("box_looks_like_xyxy", count=signs.like_xyxy, rejected=False)
        found.add("convert_xyxy")
    elif signs.past_the_edge:
        problems.add("box_past_edge", count=signs.past_the_edge, rejected=False)
        found.add("clip_boxes")
    return found


def report(
    job: PredictionImport,
    tally: copying.Tally,
    problems: ProblemLog,
    offered: set[str] = frozenset(),  # type: ignore[assignment]
) -> dict[str, Any]:
    """The doctor's report, in the shape that pages and API show."""
    counts = {"read": tally.read, "stored": tally.stored, "rejected": sum(problems.rejected_by_reason().values())}
    found = reports.base_report("coco_results", "COCO results", problems, offered, job.fixes)
    found["predictions"] = counts
    for key in ("read", "stored", "rejected"):
        found[key] = {"predictions": counts[key]}
    found["existing"] = job.existing()
    return found


def _categories(tally: copying.Tally, truth: Truth) -> list[dict[str, Any]]:
    counted: Counter[int] = tally.by_category
    return [{"name": truth.category_names.get(key, "?"), "count": count} for key, count in counted.most_common(200)]
