"""Every run there was belongs to the project of its dataset."""

from django.db import migrations
from django.db.models import OuterRef, Subquery


def fill(apps, schema_editor):
    run, dataset = apps.get_model("predictions", "PredictionRun"), apps.get_model("datasets", "Dataset")
    project = dataset.objects.filter(pk=OuterRef("dataset_id")).values("project_id")
    run.objects.filter(project=None).update(project_id=Subquery(project))


class Migration(migrations.Migration):
    dependencies = [("predictions", "0002_training_jobs_sets_and_texts")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
