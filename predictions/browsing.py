"""Which images a page shows: the filter as the address holds it, its order, and steps through both by key, never by offset."""

from dataclasses import dataclass, field, replace

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from datasets.models import Annotation, Category, Dataset, Sample, Split
from predictions.models import PredictedObject, PredictionRun

PAGE_SIZE = 50
MOST_RUNS = 6

# Key, label, the columns of the order; the last is the primary key, so that every order is total.
SORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "file": ("File order", ("pk",)),
    "name": ("File name", ("file_name", "pk")),
    "most": ("Most objects", ("-annotation_count", "-pk")),
    "fewest": ("Fewest objects", ("annotation_count", "pk")),
}


@dataclass(frozen=True)
class Selection:
    """The images of a dataset that fit a filter, in an order. `runs` are those whose predictions are looked at."""

    dataset: Dataset
    runs: list[PredictionRun] = field(default_factory=list)
    split: Split | None = None
    category: Category | None = None
    name: str = ""
    predicted: str = ""
    objects: str = ""
    low: float | None = None
    high: float | None = None
    sort: str = "file"

    @property
    def is_filtering(self) -> bool:
        has_range = self.low is not None or self.high is not None
        return has_range or any((self.split, self.category, self.name, self.predicted, self.objects))

    def samples(self) -> QuerySet[Sample]:
        """All images that fit, in order."""
        samples = Sample.objects.filter(dataset=self.dataset)
        if self.split:
            samples = samples.filter(split=self.split)
        if self.name:
            samples = samples.filter(file_name__icontains=self.name)
        if self.objects:
            samples = samples.filter(annotation_count=0) if self.objects == "none" else samples.filter(annotation_count__gt=0)
        if self.category or self.predicted or self.low is not None or self.high is not None:
            samples = self._by_labels(samples)
        return samples.order_by(*SORTS[self.sort][1])

    def _by_labels(self, samples: QuerySet[Sample]) -> QuerySet[Sample]:
        """By what is true of an image and what runs say of it; a class may come from either."""
        predictions = PredictedObject.objects.filter(sample=OuterRef("pk"), run__in=self._run_keys())
        if self.low is not None:
            predictions = predictions.filter(score__gte=self.low)
        if self.high is not None:
            predictions = predictions.filter(score__lte=self.high)
        if self.category:
            predictions = predictions.filter(category=self.category)
        if self.predicted == "without":
            samples = samples.filter(~Exists(predictions))
        elif self.predicted == "with" or self.low is not None or self.high is not None:
            samples = samples.filter(Exists(predictions))
        elif self.category:
            truth = Annotation.objects.filter(sample=OuterRef("pk"), category=self.category)
            found = Q(Exists(truth))
            return samples.filter(found | Q(Exists(predictions)) if self.runs else found)
        return samples

    def _run_keys(self) -> list[int]:
        """Of the chosen runs, else of all; as a list, for which the index on run and sample serves."""
        if self.runs:
            return [run.pk for run in self.runs]
        return list(PredictionRun.objects.completed().filter(dataset=self.dataset).values_list("pk", flat=True))

    def page(self, anchor: Sample | None = None, size: int = PAGE_SIZE) -> tuple[list[Sample], bool]:
        """Up to `size` images after the anchor, and whether more follow."""
        samples = self.after(anchor) if anchor else self.samples()
        found = list(samples.select_related("split")[: size + 1])
        return found[:size], len(found) > size

    def after(self, anchor: Sample) -> QuerySet[Sample]:
        return self.samples().filter(_beyond(anchor, SORTS[self.sort][1]))

    def before(self, anchor: Sample) -> QuerySet[Sample]:
        """The images before the anchor, nearest first."""
        columns = tuple(_turned(column) for column in SORTS[self.sort][1])
        return self.samples().order_by(*columns).filter(_beyond(anchor, columns))

    def around(self, anchor: Sample, reach: int = 6) -> tuple[list[Sample], list[Sample]]:
        """Neighbours on both sides in reading order, without the anchor."""
        return list(self.before(anchor)[:reach])[::-1], list(self.after(anchor)[:reach])


def _turned(column: str) -> str:
    return column[1:] if column.startswith("-") else f"-{column}"


def _beyond(anchor: Sample, columns: tuple[str, ...]) -> Q:
    """Rows that come after the anchor in this order. The first column is bounded by itself, so that an index can start there."""
    conditions = [(column.lstrip("-"), "lt" if column.startswith("-") else "gt") for column in columns]
    name, step = conditions[0]
    value = getattr(anchor, name)
    if len(conditions) == 1:
        return Q(**{f"{name}__{step}": value})
    key, key_step = conditions[1]
    bounded = Q(**{f"{name}__{step}e": value})
    return bounded & (Q(**{f"{name}__{step}": value}) | Q(**{f"{key}__{key_step}": getattr(anchor, key)}))


def class_counts(selection: Selection) -> dict[int, int]:
    """Images by class of their ground truth (key: category), among those that fit the rest of the filter."""
    rest = replace(selection, category=None)
    truth = Annotation.objects.filter(sample__dataset=selection.dataset)
    if rest.is_filtering:
        truth = truth.filter(sample__in=rest.samples().order_by().values("pk"))
    return dict(truth.order_by().values_list("category").annotate(images=Count("sample", distinct=True)))


def split_counts(selection: Selection) -> dict[int, int]:
    """Images by split (key: split), among those that fit the rest of the filter."""
    rest = replace(selection, split=None)
    if not rest.is_filtering:
        return dict(selection.dataset.splits.values_list("pk", "sample_count"))
    return dict(rest.samples().order_by().values_list("split").annotate(images=Count("pk")))
