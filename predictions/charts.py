"""What a dataset holds, as series for charts and rows for tables."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Count

from datasets.models import Annotation, Dataset

MOST_CLASSES = 40
# COCO's borders between small, medium and large objects, in pixels of area; the finer steps between are powers of two.
SIZE_STEPS = [8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024]


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    count: int
    note: str = ""
    category: int | None = None


def class_distribution(dataset: Dataset) -> list[Bar]:
    """Annotations by class, most first; classes without examples are told as 0."""
    counts = dict(
        Annotation.objects.filter(sample__dataset=dataset).values_list("category").annotate(count=Count("pk")).order_by()
    )
    bars = [Bar(category.name, counts.get(category.pk, 0), category=category.pk) for category in dataset.categories.all()]
    return sorted(bars, key=lambda bar: -bar.count)


def box_sizes(dataset: Dataset) -> list[Bar]:
    """Boxes by the side of a square of their area, in pixels."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT width_bucket(sqrt(a.width * a.height), %s::float8[]) AS step, count(*) FROM datasets_annotation a "
            "JOIN datasets_sample s ON s.id = a.sample_id WHERE s.dataset_id = %s AND a.width > 0 AND a.height > 0 GROUP BY step",
            [SIZE_STEPS, dataset.pk],
        )
        counts = dict(cursor.fetchall())
    edges = [0, *SIZE_STEPS]
    labels = [f"{low}–{high}" for low, high in zip(edges, SIZE_STEPS, strict=False)] + [f"over {SIZE_STEPS[-1]}"]
    return [Bar(label, counts.get(step, 0), _size_name(edges[step])) for step, label in enumerate(labels)]


def _size_name(low: int) -> str:
    return "small" if low < 32 else "medium" if low < 96 else "large"
