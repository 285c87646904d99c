"""The import doctor for ground truth: what a source holds and what is wrong with it, before anything is stored."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from datasets import importers, reports, sources
from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord
from datasets.importers.problems import ProblemLog
from datasets.models import DatasetImport, JobStatus
from datasets.runner import Heartbeat, JobCancelled

MOST_CATEGORIES_SHOWN = 200


@dataclass
class Contents:
    """What a source holds, counted while its records stream by."""

    samples: int = 0
    with_image: int = 0
    annotations: int = 0
    categories: dict[str, CategoryRecord] = field(default_factory=dict)
    by_category: Counter[str] = field(default_factory=Counter)

    def note(self, record: Record) -> None:
        if isinstance(record, AnnotationRecord):
            self.annotations += 1
            self.by_category[record.category_id] += 1
        elif isinstance(record, SampleRecord):
            self.samples += 1
            self.with_image += record.path is not None
        else:
            self.categories[record.external_id] = record

    def counting(self, records: Iterable[Record]) -> Iterable[Record]:
        for record in records:
            self.note(record)
            yield record


def examine(job: DatasetImport, heartbeat: Heartbeat) -> None:
    """Read everything, store nothing; the job becomes a draft with the doctor's report."""
    contents = Contents()
    with reports.recorded_rejects(job) as problems, sources.records(job, heartbeat, problems) as (key, records):
        for record in records:
            contents.note(record)
    found = report(job, key, problems, contents)
    if not job.finish(JobStatus.DRAFT, report=found, **row_counts(found)):
        raise JobCancelled


def report(job: DatasetImport, key: str, problems: ProblemLog, contents: Contents) -> dict[str, Any]:
    """The report of an examination or of an import, with counts of samples, annotations and categories."""
    unused = [record for id_, record in contents.categories.items() if not contents.by_category[id_]]
    if unused and contents.annotations:
        names = ", ".join(record.name for record in unused[:5])
        problems.add("class_without_examples", detail=names, rejected=False, count=len(unused))
    if "map_by_name" not in job.fixes:
        _note_conflicts(job, problems, contents)
    found = reports.base_report(key, importers.IMPORTERS[key][0], problems, problems.offered_fixes(), job.fixes)
    stored = {"samples": contents.samples, "annotations": contents.annotations, "categories": len(contents.categories)}
    found["read"] = {kind: problems.read_count(kind, stored[kind]) for kind in stored}
    found["stored"] = stored
    found["rejected"] = {kind: found["read"][kind] - stored[kind] for kind in stored}
    found["with_image"] = contents.with_image
    found["categories"] = [
        {"external_id": id_, "name": record.name, "count": contents.by_category[id_]}
        for id_, record in list(contents.categories.items())[:MOST_CATEGORIES_SHOWN]
    ]
    found["existing"] = job.existing()
    return found


def _note_conflicts(job: DatasetImport, problems: ProblemLog, contents: Contents) -> None:
    """Class ids that mean something else in the dataset. Without a fix the import would be refused for them.

    Where the split is the only one, and no prediction speaks of its classes, they start anew.
    """
    dataset = job.dataset
    if not dataset.prediction_count and not dataset.splits.exclude(name=job.split_name or "val").exists():
        return
    for external_id, name in dataset.categories.values_list("external_id", "name"):
        record = contents.categories.get(external_id)
        if record and record.name != name:
            detail = f"{record.name} in the file, {name} in the dataset"
            problems.add("category_conflict", where=f"id {external_id}", detail=detail, rejected=False)
            problems.offer("map_by_name")


def row_counts(found: dict[str, Any]) -> dict[str, int]:
    """The import row's own counts: samples and annotations together, so that read = stored + rejected."""
    return {f"{name}_count": found[name]["samples"] + found[name]["annotations"] for name in ("read", "stored", "rejected")}
