"""A checkpoint's classes held against a dataset's: which fit by name, and which people must assign."""

from dataclasses import dataclass

from datasets.models import Category, Dataset
from predictions.models import Checkpoint


@dataclass(frozen=True)
class ClassFit:
    """`alike`: how many have both. `lacking`: the dataset's without one of their name; `others`: the checkpoint's."""

    alike: int
    lacking: list[Category]
    others: list[str]


def class_fit(checkpoint: Checkpoint, dataset: Dataset) -> ClassFit | None:
    """None where the checkpoint's classes are known only once it has run."""
    if not checkpoint.class_names:
        return None
    categories = list(dataset.categories.all())
    theirs = set(checkpoint.class_names)
    ours = {category.name for category in categories}
    lacking = [category for category in categories if category.name not in theirs]
    return ClassFit(len(ours & theirs), lacking, sorted(theirs - ours, key=str.lower))
