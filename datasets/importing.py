"""Ground truth on its way in: records of an importer -> rows by COPY, in one transaction.

The importer knows the format and no database; this module knows the database and no format.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from psycopg.types.json import Jsonb

from datasets import doctor, image_files, reports, sources
from datasets.bulk import columns_of, copy_statement, locked_keys, new_ids, without_row_triggers
from datasets.importers.base import AnnotationRecord, CategoryRecord, Record, SampleRecord
from datasets.importers.problems import ImportRefused
from datasets.models import Annotation, Category, Dataset, DatasetImport, JobStatus, Sample, Split
from datasets.runner import Heartbeat, JobCancelled

BATCH = 5_000
# Samples wait so long for their annotations to be counted; of larger files the counts are added in the end.
SAMPLES_HELD = 20_000

# What apps above keep totals of: they put a function here, called with a dataset that lost samples, in the transaction.
AFTER_REMOVAL: list[Callable[[Dataset], None]] = []
# An index entry of PostgreSQL holds about 2,700 bytes.
LONGEST_NAME = 1_000

SAMPLE_FIELDS = [
    "id", "dataset", "split", "external_id", "file_name", "width", "height", "image", "image_format",
    "exif_orientation", "exif_applied", "annotation_count",
]  # fmt: skip
SAMPLE_TYPES = ["int8", "int8", "int8", "text", "text", "int4", "int4", "text", "varchar", "int2", "bool", "int4"]
ANNOTATION_FIELDS = [
    "sample", "category", "external_id", "x", "y", "width", "height", "area", "area_rule", "is_crowd",
    "segmentation", "keypoints",
]  # fmt: skip
ANNOTATION_TYPES = [
    "int8", "int8", "text", "float8", "float8", "float8", "float8", "float8", "varchar", "bool", "jsonb", "float8[]",
]  # fmt: skip


def store(job: DatasetImport, heartbeat: Heartbeat) -> None:
    """The work of an import: everything into the split, or nothing."""
    images = image_files.ImageFolder(job.dataset_id, job.pk, job.attempts)
    contents = doctor.Contents()
    try:
        with (
            reports.recorded_rejects(job) as problems,
            sources.records(job, heartbeat, problems) as (key, records),
            transaction.atomic(),
        ):
            split = _locked_split(job)
            target = SplitWriter(job.dataset, split, images, map_names="map_by_name" in job.fixes)
            target.write(contents.counting(records))
            _settle(job, split, target, doctor.report(job, key, problems, contents))
    except BaseException:
        images.remove()
        raise
    image_files.remove_files(target.replaced_images)


def _locked_split(job: DatasetImport) -> Split:
    """The split, locked against other imports into it; what it holds is replaced only where that was asked for."""
    locked_keys(Dataset.objects.filter(pk=job.dataset_id), "pk")
    name = job.split_name or "val"
    Split.objects.get_or_create(dataset=job.dataset, name=name)
    split = Split.objects.select_for_update().get(dataset=job.dataset, name=name)
    if split.sample_count and not job.replace:
        raise ImportRefused(
            f"The split {name} of {job.dataset.name} already holds {split.sample_count:,} images and "
            f"{split.annotation_count:,} annotations.",
            remedy="Import under another split name, or say that the split shall be replaced.",
        )
    return split


def _settle(job: DatasetImport, split: Split, target: "SplitWriter", report: dict[str, Any]) -> None:
    """Totals and the row's end, as the last words of the transaction."""
    split.sample_count, split.annotation_count = target.sample_count, target.annotation_count
    split.imported_at = timezone.now()
    split.save(update_fields=["sample_count", "annotation_count", "imported_at"])
    refresh_counts(job.dataset)
    if target.removed_count:
        for recount in AFTER_REMOVAL:
            recount(job.dataset)
    if not job.finish(JobStatus.COMPLETED, report=report, **doctor.row_counts(report)):
        raise JobCancelled


def refresh_counts(dataset: Dataset) -> None:
    """The dataset's totals of samples and annotations, from those of its splits. Serialised by a lock on the dataset."""
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    totals = dataset.splits.aggregate(samples=Sum("sample_count", default=0), annotations=Sum("annotation_count", default=0))
    Dataset.objects.filter(pk=dataset.pk).update(
        sample_count=totals["samples"], annotation_count=totals["annotations"], updated_at=timezone.now()
    )
    dataset.refresh_from_db(fields=["sample_count", "annotation_count", "updated_at"])


@dataclass(slots=True)
class KnownSample:
    key: int
    file_name: str
    image: str


class SplitWriter:
    """Writes one split. A sample whose id and file name stay keeps its key, and with it what models said of it."""

    def __init__(self, dataset: Dataset, split: Split, images: image_files.ImageFolder, *, map_names: bool) -> None:
        self.dataset, self.split, self.images, self.map_names = dataset, split, images, map_names
        self.known = {
            external_id: KnownSample(key, file_name, image)
            for key, external_id, file_name, image in Sample.objects.filter(split=split).values_list(
                "pk", "external_id", "file_name", "image"
            )
        }
        Annotation.objects.filter(sample__split=split)._raw_delete(connection.alias)
        self.categories = CategoryWriter(dataset, split, map_names=map_names)
        self.sample_keys: dict[str, int] = {}
        self.replaced_images: list[str] = []
        self.sample_count = self.annotation_count = self.removed_count = 0
        self._kept: set[int] = set()
        self._samples: list[SampleRecord] = []
        self._numbered: list[tuple[SampleRecord, int]] = []
        self._annotations: list[AnnotationRecord] = []
        self._counts: Counter[int] = Counter()  # annotations by sample, of which the sample's row does not know yet

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, AnnotationRecord):
                self._annotations.append(record)
                if len(self._annotations) >= BATCH:
                    self._write_annotations()
            elif isinstance(record, SampleRecord):
                self._samples.append(record)
                if len(self._samples) >= SAMPLES_HELD:
                    self._write_samples()
            else:
                self.categories.write(record)
        self._write_annotations()
        self._write_samples()
        self._remove_vanished()
        _add_counts(self._counts)

    def _write_annotations(self) -> None:
        """May come before their samples' rows: keys are known, and the database looks at them when all is committed."""
        self._number_samples()
        keys, categories = self.sample_keys, self.categories.saved()
        rows = (_annotation_row(record, keys[record.sample_id], categories[record.category_id]) for record in self._annotations)
        _copy(Annotation, ANNOTATION_FIELDS, ANNOTATION_TYPES, rows)
        self._counts.update(keys[record.sample_id] for record in self._annotations)
        self.annotation_count += len(self._annotations)
        self._annotations.clear()

    def _number_samples(self) -> None:
        fresh = [record for record in self._samples if not self._known_as(record)]
        keys = iter(new_ids(Sample, len(fresh)) if fresh else [])
        for record in self._samples:
            known = self._known_as(record)
            key = known.key if known else next(keys)
            self.sample_keys[record.external_id] = key
            self._numbered.append((record, key))
        self._samples.clear()

    def _known_as(self, record: SampleRecord) -> KnownSample | None:
        known = self.known.get(record.external_id)
        return known if known and known.file_name == record.file_name else None

    def _write_samples(self) -> None:
        self._number_samples()
        fresh, kept, displaced = [], [], []
        for record, key in self._numbered:
            row = self._sample_row(record, key)
            if known := self._known_as(record):
                self._kept.add(key)
                self.replaced_images.append(known.image)
                kept.append(row)
            else:
                fresh.append(row)
                displaced += [self.known[record.external_id]] if record.external_id in self.known else []
        if kept:
            _update_samples(kept)
        # A sample under a known id but another file name is another sample: the known one must go before it comes.
        self._remove(displaced)
        _copy(Sample, SAMPLE_FIELDS, SAMPLE_TYPES, fresh)
        self.sample_count += len(self._numbered)
        self._numbered.clear()

    def _sample_row(self, record: SampleRecord, key: int) -> tuple[Any, ...]:
        image = self.images.put(record.path) if record.path else ""
        return (
            key, self.dataset.pk, self.split.pk, record.external_id, record.file_name, record.width, record.height,
            image, record.image_format, record.orientation, record.exif_transposed, self._counts.pop(key, 0),
        )  # fmt: skip

    def _remove_vanished(self) -> None:
        self._remove([known for known in self.known.values() if known.key not in self._kept])

    def _remove(self, gone: list[KnownSample]) -> None:
        """Samples that the new file does not have, with whatever refers to them in any app."""
        if not gone:
            return
        for start in range(0, len(gone), BATCH):
            Sample.objects.filter(pk__in=[known.key for known in gone[start : start + BATCH]]).delete()
        self.removed_count += len(gone)
        self.replaced_images += [known.image for known in gone]
        for known in gone:
            self._kept.add(known.key)


def _add_counts(counts: Counter[int]) -> None:
    """To samples whose rows were written before all of their annotations had come."""
    if not counts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE datasets_sample SET annotation_count = annotation_count + counted.n "
            "FROM unnest(%s::bigint[], %s::int[]) AS counted(id, n) WHERE datasets_sample.id = counted.id",
            [list(counts.keys()), list(counts.values())],
        )


class CategoryWriter:
    """Files' categories -> the dataset's own. One id never means two names within a dataset."""

    def __init__(self, dataset: Dataset, split: Split, *, map_names: bool) -> None:
        self.dataset, self.map_names = dataset, map_names
        if not dataset.splits.exclude(pk=split.pk).exists() and not dataset.prediction_count:
            # The only split is replaced and no prediction speaks of the old classes: they start anew.
            dataset.categories.all().delete()
        self._chosen: dict[str, Category] = {}
        self._fresh: list[Category] = []
        locked_keys(dataset.categories.all(), "pk")
        self._known = {category.external_id: category for category in dataset.categories.all()}
        self._by_name = {category.name: category for category in reversed(self._known.values())}

    def write(self, record: CategoryRecord) -> None:
        category = self._by_name.get(record.name) if self.map_names else None
        category = category or self._known.get(record.external_id)
        if category is None:
            category = self._new(record)
        elif category.name != record.name:
            raise ImportRefused(
                f"Category {record.external_id} is {record.name!r} in this file but {category.name!r} in the dataset.",
                remedy="Switch on the fix 'map_by_name', which goes by class names, or import into a dataset of its own.",
            )
        self._chosen[record.external_id] = category

    def saved(self) -> dict[str, int]:
        """The keys by the file's ids; those that are new are saved before."""
        Category.objects.bulk_create(self._fresh)
        self._fresh.clear()
        return {external_id: category.pk for external_id, category in self._chosen.items()}

    def _new(self, record: CategoryRecord) -> Category:
        category = Category(
            dataset=self.dataset,
            external_id=record.external_id,
            name=record.name,
            supercategory=record.supercategory,
            position=len(self._known),
            keypoint_names=record.keypoint_names,
            skeleton=record.skeleton,
        )
        self._known[category.external_id] = self._by_name[category.name] = category
        self._fresh.append(category)
        return category


def _annotation_row(record: AnnotationRecord, sample: int, category: int) -> tuple[Any, ...]:
    x, y, width, height = record.bbox or (None, None, None, None)
    return (
        sample, category, record.external_id, x, y, width, height, record.area, record.area_rule, record.is_crowd,
        None if record.segmentation is None else Jsonb(record.segmentation), record.keypoints,
    )  # fmt: skip


def _copy(table: type[Any], fields: list[str], types: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """The rows refer to samples, a split and categories that this transaction made or holds locked."""
    with without_row_triggers(), connection.cursor() as cursor, cursor.copy(copy_statement(table, fields)) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _update_samples(rows: list[tuple[Any, ...]]) -> None:
    """Samples that stay get what the new file says of them."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS sample_update (LIKE datasets_sample) ON COMMIT DROP")
        cursor.execute("TRUNCATE sample_update")
        columns = columns_of(Sample, SAMPLE_FIELDS)
        with cursor.copy(f"COPY sample_update ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(SAMPLE_TYPES)
            for row in rows:
                copy.write_row(row)
        changes = ", ".join(f"{column} = sample_update.{column}" for column in columns if column != "id")
        cursor.execute(
            f"UPDATE datasets_sample SET {changes} FROM sample_update "  # noqa: S608 - columns of our own model
            "WHERE datasets_sample.id = sample_update.id"
        )
