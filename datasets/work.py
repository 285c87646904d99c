"""What an import row asks to be done."""

from datasets import doctor, importing
from datasets.models import DatasetImport
from datasets.runner import Heartbeat


def work_on(job: DatasetImport, heartbeat: Heartbeat) -> None:
    """The doctor's look, or the import itself."""
    (doctor.examine if job.dry_run else importing.store)(job, heartbeat)
