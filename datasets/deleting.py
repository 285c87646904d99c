"""Deleting a dataset: table by table in single statements, never row by row in Python."""

from collections.abc import Iterator
from functools import partial

from django.db import connection, models, transaction
from django.db.models import QuerySet

from datasets.image_files import remove_files, remove_folder
from datasets.models import Dataset, JobQuerySet
from datasets.models.imports import ImportJob


class DatasetBusy(Exception):
    """Work on the dataset is under way; the text says what to do about it."""


@transaction.atomic
def delete_dataset(dataset: Dataset) -> None:
    """The dataset and everything that belongs to it, also in tables of apps that build on this one.

    Rows that refer to it go before what they refer to; references that are set to null on deletion are emptied. Which
    tables those are is read off the foreign keys, so that a new one needs no line here. Files go after the commit.
    Raises DatasetBusy while an import runs.
    """
    rows = Dataset.objects.filter(pk=dataset.pk)
    if not rows.select_for_update().exists():
        return
    _check_idle(dataset)
    rejects = [
        name for jobs in _imports(dataset) for name in jobs.exclude(rejects_file="").values_list("rejects_file", flat=True)
    ]
    _delete(rows)
    transaction.on_commit(partial(remove_folder, f"images/{dataset.pk}"))
    transaction.on_commit(partial(remove_folder, f"thumbs/images/{dataset.pk}"))
    transaction.on_commit(partial(remove_files, rejects))


def _check_idle(dataset: Dataset) -> None:
    if any(jobs.active().exists() for jobs in _imports(dataset)):
        raise DatasetBusy(
            f"An import into {dataset.name} is under way. Cancel it on the Imports tab, or wait until it is done."
        )


def _imports(dataset: Dataset) -> Iterator[JobQuerySet]:
    """The import rows of the dataset, one query set for each kind of import."""
    for field in _references(Dataset):
        if issubclass(field.model, ImportJob):
            yield field.model._default_manager.filter(**{field.name: dataset})


def _delete(rows: "QuerySet[models.Model]") -> None:
    """Empty everything that points at the rows, deepest first, then the rows themselves."""
    for field in _references(rows.model):
        dependants = field.model._base_manager.filter(**{f"{field.name}__in": rows.values("pk")}).order_by()
        if field.remote_field.on_delete is models.SET_NULL:
            dependants.update(**{field.name: None})
        else:
            _delete(dependants)
    rows._raw_delete(connection.alias)


def _references(table: type[models.Model]) -> Iterator["models.ForeignKey[models.Model]"]:
    """The foreign keys of all tables that point at this one."""
    for relation in table._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ManyToOneRel):
            yield relation.field
