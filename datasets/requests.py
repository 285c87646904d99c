"""Import rows as somebody asks for them: checked before they exist. No Celery here: commands do the work themselves."""

from collections.abc import Collection
from pathlib import Path

from accounts.models import User
from datasets.importers import IMPORTERS
from datasets.importers.problems import FIXES, ImportRefused
from datasets.models import Dataset, DatasetImport, JobStatus, Upload
from datasets.models.imports import ImportJob


class ImportConflict(ImportRefused):
    """The present state stands against it: data would be replaced unasked, or the import is in another state."""


def make_dataset_import(
    user: User | None,
    dataset: Dataset,
    *,
    split: str,
    upload: Upload | None,
    path: Path | None,
    images: Path | None,
    images_upload: Upload | None = None,
    importer: str,
    fixes: Collection[str],
    replace: bool,
    dry_run: bool,
) -> DatasetImport:
    """The row alone, checked; for a command, which does the work itself."""
    if importer and importer not in IMPORTERS:
        raise ImportRefused(f"There is no importer {importer!r}.", remedy=f"The importers: {', '.join(IMPORTERS)}.")
    check_fixes(fixes)
    check_source(upload, path)
    if images_upload is not None:
        _check_complete(images_upload)
    if images is not None:
        _check_there(images)
    return DatasetImport.objects.create(
        dataset=dataset,
        created_by=user,
        upload=upload,
        source_path=str(path or ""),
        source_name=upload.file_name if upload else str(path),
        split_name=split,
        images_path=str(images or ""),
        images_upload=images_upload,
        importer=importer,
        fixes=sorted(set(fixes)),
        replace=replace,
        dry_run=dry_run,
    )


def check_fixes(fixes: Collection[str]) -> None:
    if unknown := set(fixes) - set(FIXES):
        raise ImportRefused(f"There is no fix {', '.join(sorted(unknown))}.", remedy=f"The fixes: {', '.join(FIXES)}.")


def check_source(upload: Upload | None, path: Path | None) -> None:
    """One source, and there."""
    if (upload is None) == (path is None):
        raise ImportRefused("An import needs one source.", remedy="Upload a file, or name a path on the server; not both.")
    if upload is not None:
        _check_complete(upload)
    if path is not None:
        _check_there(path)


def _check_there(path: Path) -> None:
    if not path.exists():
        raise ImportRefused("There is no such file or folder.", where=str(path), remedy="Check the path.")


def _check_complete(upload: Upload) -> None:
    if not upload.is_complete:
        raise ImportRefused(
            f"The upload of {upload.file_name} is not complete yet.",
            where=f"{upload.received:,} of {upload.size:,} bytes arrived",
            remedy="Let it finish, or resume it.",
        )


def check_replacement(dataset: Dataset, split_name: str, *, replace: bool) -> None:
    """Raises ImportConflict, which names what would go, where the split holds samples."""
    split = dataset.splits.filter(name=split_name or "val", sample_count__gt=0).first()
    if split is None or replace:
        return
    kept = (
        f" The dataset's {dataset.prediction_count:,} predictions stay with images that the new file has under the same id and "
        "file name; those of other images go."
        if dataset.prediction_count
        else ""
    )
    raise ImportConflict(
        f"The split {split.name} holds {split.sample_count:,} images and {split.annotation_count:,} annotations, "
        f"which this import would replace.{kept}",
        remedy="Confirm the replacement (in the API: replace=true), or import under another split name.",
    )


def check_decidable(job: ImportJob, *, also: Collection[str] = ()) -> None:
    """Whether somebody may decide now what becomes of the job: nobody is working on it. Raises ImportConflict."""
    if job.status not in (JobStatus.DRAFT, JobStatus.FAILED, JobStatus.CANCELLED, *also):
        done = job.status == JobStatus.COMPLETED
        raise ImportConflict(
            f"This import is {job.get_status_display().lower()}.",
            remedy="Start a new one." if done else "Wait for it to end, or cancel it.",
        )
