"""Import rows as somebody asks for them: checked before they exist. No Celery here: commands do the work themselves."""

from collections.abc import Collection
from pathlib import Path

from accounts.models import User
from datasets.importers.problems import ImportRefused
from datasets.models import Dataset, Upload
from datasets.requests import check_fixes, check_source
from predictions import importing
from predictions.models import PredictionImport


def make_prediction_import(
    user: User | None,
    dataset: Dataset,
    *,
    name: str,
    split: str,
    upload: Upload | None,
    path: Path | None,
    fixes: Collection[str],
    dry_run: bool,
) -> PredictionImport:
    """The row alone, checked."""
    name = name.strip()
    if not name or len(name) > 120 or "\0" in name:
        raise ImportRefused(
            "A run needs a name of 1 to 120 characters.", where=f"name {name[:40]!r}", remedy="Give it another name."
        )
    check_fixes(fixes)
    check_source(upload, path)
    job = PredictionImport(
        dataset=dataset,
        created_by=user,
        upload=upload,
        source_path=str(path or ""),
        source_name=upload.file_name if upload else str(path),
        split_name=split,
        run_name=name,
        fixes=sorted(set(fixes)),
        dry_run=dry_run,
    )
    importing.chosen_split(job)
    job.save()
    return job
