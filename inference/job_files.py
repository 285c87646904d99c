"""The stored image files of inference jobs: put there by requests and archives, removed with their job."""

from django.core.files.storage import default_storage

from datasets.image_files import StoredFolder, remove_folder
from inference.models import InferenceJob

ROOT = "inference"


def folder_of(job_id: int) -> StoredFolder:
    return StoredFolder(f"{ROOT}/{job_id}")


def remove_files_of(job_id: int) -> None:
    """Its images and what was made of them for the pages."""
    remove_folder(f"{ROOT}/{job_id}")
    remove_folder(f"thumbs/{ROOT}/{job_id}")


def remove_orphans() -> int:
    """Files of jobs that went with their project or checkpoint; returns of how many jobs."""
    try:
        folders, _ = default_storage.listdir(ROOT)
    except FileNotFoundError:
        return 0
    found = {int(name) for name in folders if name.isdecimal()}
    gone = found - set(InferenceJob.objects.filter(pk__in=found).values_list("pk", flat=True))
    for job_id in gone:
        remove_files_of(job_id)
    return len(gone)
