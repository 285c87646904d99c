"""A results file on its way in: one prediction run, all of it or nothing, under its name in one step.

The rows are validated as a set: the ids of the samples and categories that the file may speak of are read and locked in one
statement each, and the rows are copied past the foreign-key triggers, which would look up the same keys once per row.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from datasets import reports, sources
from datasets.bulk import copy_statement, locked_keys, without_row_triggers
from datasets.importers.problems import ImportRefused, ProblemLog
from datasets.models import Category, Dataset, JobStatus, Sample, Split
from datasets.runner import Heartbeat, JobCancelled
from predictions import copying, examination, image_checks
from predictions.coco_results import Truth, id_map
from predictions.models import PredictedObject, PredictionImport, PredictionRun, RunStatus
from predictions.results_files import ResultsFile
from predictions.runs import refresh_prediction_count, remove_run


def run_import(job: PredictionImport, heartbeat: Heartbeat) -> None:
    """The work of an import: the doctor's look where it is a dry run, else a completed run."""
    with opened(job, heartbeat) as results:
        if job.dry_run:
            examination.examine(job, results, known_truth(job))
        else:
            _store(job, results)


@contextmanager
def opened(job: PredictionImport, heartbeat: Heartbeat) -> Iterator[ResultsFile]:
    with sources.opened(job, heartbeat.progress) as path:
        yield ResultsFile(_only_json(path), partial(heartbeat.progress, stage="reading"))


def _only_json(path: Path) -> Path:
    """The file itself, or the one JSON file of an unpacked archive."""
    if path.is_file():
        return path
    found = sorted(path.rglob("*.json"))
    if len(found) != 1:
        raise ImportRefused(
            f"The archive or folder holds {len(found)} JSON files.", remedy="Give the one file with the results."
        )
    return found[0]


def _store(job: PredictionImport, results: ResultsFile) -> None:
    tally = copying.Tally()
    fixes = frozenset(job.fixes)
    with reports.recorded_rejects(job) as problems, transaction.atomic():
        truth = known_truth(job, lock=True)
        results.apply(fixes, truth)
        run = PredictionRun.objects.create(
            project=job.dataset.project,
            dataset=job.dataset,
            split=chosen_split(job),
            name=job.run_name,
            created_by=job.created_by,
        )
        _copy(copying.copy_chunks(results.rows(), run.pk, truth, fixes, problems, tally))
        _refuse_where_nothing_fits(tally, problems)
        _complete(run, tally, problems)
        image_checks.check_run(run)
        _settle(job, run, tally, problems)


def _copy(chunks: Iterable[bytes]) -> None:
    statement = copy_statement(PredictedObject, copying.FIELDS)
    with without_row_triggers(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in chunks:
            copy.write(chunk)


def _refuse_where_nothing_fits(tally: copying.Tally, problems: ProblemLog) -> None:
    """A file of another dataset must not replace a good run by an empty one."""
    if tally.read and not tally.stored:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in problems.rejected_by_reason().items())
        raise ImportRefused(
            f"None of the {tally.read:,} rows fits this dataset ({reasons}).",
            where=problems.first_example(),
            remedy="Have the import doctor look at the file: it offers to match images by file name (match_file_stem), "
            "classes by name (map_by_name) or to shift ids (shift_category_ids), where that helps.",
        )


def _complete(run: PredictionRun, tally: copying.Tally, problems: ProblemLog) -> None:
    """The run takes its name over from the one that had it. Readers see the one or the other, by the commit."""
    Dataset.objects.select_for_update(no_key=True).get(pk=run.dataset_id)
    for old in PredictionRun.objects.completed().filter(dataset=run.dataset_id, name=run.name):
        remove_run(old)
    run.status = RunStatus.COMPLETED
    run.prediction_count = tally.stored
    run.skipped = problems.rejected_by_reason()
    run.skipped_count = sum(run.skipped.values())
    run.category_counts = {str(category): count for category, count in tally.by_category.items()}
    run.save()
    if run.dataset:
        refresh_prediction_count(run.dataset)


def _settle(job: PredictionImport, run: PredictionRun, tally: copying.Tally, problems: ProblemLog) -> None:
    if not job.finish(
        JobStatus.COMPLETED,
        run=run,
        report=examination.report(job, tally, problems),
        read_count=tally.read,
        stored_count=tally.stored,
        rejected_count=run.skipped_count,
    ):
        raise JobCancelled


def chosen_split(job: PredictionImport) -> Split | None:
    """The split that the file speaks of; None means all of them. Raises ImportRefused for an unknown name."""
    splits = {split.name: split for split in job.dataset.splits.all()}
    if job.split_name:
        if job.split_name not in splits:
            raise ImportRefused(
                f"{job.dataset.name} has no split {job.split_name!r}.", remedy=f"It has: {', '.join(splits) or 'none yet'}."
            )
        return splits[job.split_name]
    return next(iter(splits.values())) if len(splits) == 1 else None


def known_truth(job: PredictionImport, *, lock: bool = False) -> Truth:
    """What the results may speak of. With `lock` nobody can delete it until the transaction ends."""
    split = chosen_split(job)
    splits = Split.objects.filter(pk=split.pk) if split else Split.objects.filter(dataset=job.dataset)
    samples = Sample.objects.filter(split__in=splits.values("pk"))
    categories = Category.objects.filter(dataset=job.dataset)
    read: Any = locked_keys if lock else _keys
    if lock:
        locked_keys(splits, "pk")
    sample_rows = read(samples, "external_id", "pk", "width", "height", "file_name")
    category_rows = read(categories, "external_id", "pk", "name")
    if not sample_rows:
        raise ImportRefused(f"{job.dataset.name} has no images yet.", remedy="Import its ground truth first.")
    _refuse_ambiguity(sample_rows)
    return Truth(
        samples=id_map((row[0], row[1]) for row in sample_rows),
        categories=id_map((row[0], row[1]) for row in category_rows),
        sizes={row[1]: (row[2], row[3]) for row in sample_rows},
        file_names={row[1]: row[4] for row in sample_rows},
        category_names={row[1]: row[2] for row in category_rows},
    )


def _keys(rows: Any, *fields: str) -> list[tuple[Any, ...]]:
    return list(rows.order_by().values_list(*fields))


def _refuse_ambiguity(rows: list[tuple[Any, ...]]) -> None:
    if len({row[0] for row in rows}) < len(rows):
        raise ImportRefused(
            "Several splits of this dataset use the same image ids, so the file could mean either.",
            remedy="Name the split that it speaks of.",
        )
