"""Runs as wholes: deleting them, and keeping totals true when truth goes away under them."""

from django.db import connection, transaction
from django.db.models import Count, Sum
from django.utils import timezone

from datasets.models import Dataset
from predictions.models import ImageOutcome, PredictedLabel, PredictedObject, PredictionRun, TextPrediction


@transaction.atomic
def delete_run(run: PredictionRun) -> int:
    """Delete the run with all it predicted; returns the number of rows that went with it."""
    deleted = remove_run(run)
    if run.dataset:
        refresh_prediction_count(run.dataset)
    return deleted


def remove_run(run: PredictionRun) -> int:
    """The rows alone, in one statement; the caller refreshes the dataset's total."""
    for table in (ImageOutcome, PredictedLabel):
        table.objects.filter(run=run)._raw_delete(connection.alias)
    deleted = sum(table.objects.filter(run=run)._raw_delete(connection.alias) for table in (PredictedObject, TextPrediction))
    run.delete()
    return int(deleted)


def refresh_prediction_count(dataset: Dataset) -> None:
    """The dataset's total, from those of its completed runs. Serialised by a lock on the dataset."""
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    total = PredictionRun.objects.completed().filter(dataset=dataset).aggregate(n=Sum("prediction_count", default=0))["n"]
    Dataset.objects.filter(pk=dataset.pk).update(prediction_count=total, updated_at=timezone.now())
    dataset.refresh_from_db(fields=["prediction_count", "updated_at"])


def recount_runs(dataset: Dataset) -> None:
    """Totals of all runs of a dataset that lost samples, counted anew."""
    for run in PredictionRun.objects.completed().filter(dataset=dataset):
        counts = PredictedObject.objects.filter(run=run).order_by().values_list("category").annotate(n=Count("pk"))
        run.category_counts = {str(category): n for category, n in counts}
        run.prediction_count = sum(run.category_counts.values())
        run.save(update_fields=["category_counts", "prediction_count"])
    refresh_prediction_count(dataset)
