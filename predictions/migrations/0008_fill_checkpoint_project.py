"""Every checkpoint there was belongs to the project of its job."""

from django.db import migrations
from django.db.models import OuterRef, Subquery


def fill(apps, schema_editor):
    checkpoint, job = apps.get_model("predictions", "Checkpoint"), apps.get_model("predictions", "TrainingJob")
    project = job.objects.filter(pk=OuterRef("job_id")).values("project_id")
    checkpoint.objects.filter(project=None).update(project_id=Subquery(project))


class Migration(migrations.Migration):
    dependencies = [("predictions", "0007_checkpoints_of_every_kind")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
