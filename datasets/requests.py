"""Import rows as somebody asks for them: checked before they exist. No Celery here: commands do the work themselves."""

from collections.abc import Collection
from pathlib import Path

from accounts.models import User
from datasets.importers import IMPORTERS
from datasets.importers.problems import FIXES, ImportRefused
from datasets.models import Dataset, DatasetImport, Upload


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
    if path is not None and not path.exists():
        raise ImportRefused("There is no such file or folder.", where=str(path), remedy="Check the path.")


def _check_complete(upload: Upload) -> None:
    if not upload.is_complete:
        raise ImportRefused(
            f"The upload of {upload.file_name} is not complete yet.",
            where=f"{upload.received:,} of {upload.size:,} bytes arrived",
            remedy="Let it finish, or resume it.",
        )
