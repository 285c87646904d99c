"""Weights from their file to an adapter: verified, inspected, then loaded. For workers; hashing and inspecting also elsewhere."""

import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.storage import default_storage

from datasets.uploads import Readable
from inference import adapters, pickles
from inference.adapters.base import Adapter, AdapterError, CheckpointSpec
from inference.models import TrustedWeights
from predictions.models import Checkpoint

PIECE = 1024 * 1024
MOST_LISTED = 10


@dataclass(frozen=True)
class Digest:
    sha256: str
    size: int  # bytes


def digest_of(source: Readable, copy: BinaryIO | None = None) -> Digest:
    """Of all that is left of the source, which is written to `copy` on the way."""
    sha256, size = hashlib.sha256(), 0
    while piece := source.read(PIECE):
        sha256.update(piece)
        size += len(piece)
        if copy:
            copy.write(piece)
    return Digest(sha256.hexdigest(), size)


def is_trusted(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.sha256) and TrustedWeights.objects.filter(sha256=checkpoint.sha256).exists()


@contextmanager
def verified_copy(checkpoint: Checkpoint) -> Iterator[Path]:
    """The weights in a folder of our own, for as long as it takes, proven to be those that were registered.

    What is loaded is the very copy that was hashed: nobody can put another file in its place between the two.
    """
    settings.SCRATCH_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="weights-", dir=settings.SCRATCH_ROOT))
    try:
        copy = folder / f"weights{_ending(checkpoint)}"
        with _opened(checkpoint) as source, copy.open("wb") as target:
            digest = digest_of(source, target)
        if digest.sha256 != checkpoint.sha256:
            raise AdapterError(
                f"The file of this checkpoint has changed since it was registered (its digest was {checkpoint.sha256[:12]}…, "
                f"now it is {digest.sha256[:12]}…).",
                "Register it anew, or put the old file back.",
            )
        yield copy
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ending(checkpoint: Checkpoint) -> str:
    if checkpoint.framework == "ultralytics":
        return ".pt"
    return ".onnx" if checkpoint.framework == "onnx" else Path(checkpoint.file or checkpoint.path).suffix.lower()


def _opened(checkpoint: Checkpoint) -> Any:
    if not checkpoint.sha256:
        raise AdapterError("Of this checkpoint only a path on another machine is known.", "Register or upload its file.")
    try:
        return default_storage.open(checkpoint.file) if checkpoint.file else Path(checkpoint.path).open("rb")
    except OSError as error:
        raise AdapterError(
            f"The file of this checkpoint cannot be read ({error.strerror or error}).", "Put it back, or register it anew."
        ) from None


def load(checkpoint: Checkpoint, device: str) -> Adapter:
    """The checkpoint, verified, inspected and loaded; what its file tells of itself is written to the row. Raises AdapterError."""
    os.environ.setdefault("YOLO_CONFIG_DIR", str(settings.DATA_DIR / "ultralytics"))
    made = adapters.adapter(checkpoint.framework)()
    devices = importlib.import_module("inference.devices")
    devices.set_determinism(settings.INFERENCE_DETERMINISTIC)
    trusted = is_trusted(checkpoint)
    with verified_copy(checkpoint) as path:
        if not trusted:
            _check_harmless(inspect_as(checkpoint.framework, path))
        made.load_checkpoint(path, device, _spec(checkpoint, trusted))
    _note_loaded(checkpoint, made)
    return made


def _check_harmless(inspection: dict[str, Any]) -> None:
    if inspection["is_harmless"]:
        return
    why = inspection["problem"] or f"loading it would need {', '.join(inspection['refused'][:MOST_LISTED])}"
    raise AdapterError(
        f"These weights are not loaded, as they may run code of their own: {why}",
        "An administrator of this server can mark exactly this file as trusted on the checkpoint's page.",
    )


def _spec(checkpoint: Checkpoint, trusted: bool) -> CheckpointSpec:
    return CheckpointSpec(
        architecture=checkpoint.architecture,
        task_type=checkpoint.task_type,
        class_names=tuple(checkpoint.class_names),
        preprocessing=checkpoint.preprocessing,
        trusted=trusted,
        deterministic=settings.INFERENCE_DETERMINISTIC,
    )


def _note_loaded(checkpoint: Checkpoint, loaded: Adapter) -> None:
    known = {
        "task_type": loaded.task_type,
        "class_names": loaded.class_names,
        "preprocessing": loaded.preprocessing,
        "architecture": checkpoint.architecture or getattr(loaded, "architecture", ""),
    }
    changed = {key: value for key, value in known.items() if getattr(checkpoint, key) != value}
    if changed:
        Checkpoint.objects.filter(pk=checkpoint.pk).update(**changed)
        for key, value in changed.items():
            setattr(checkpoint, key, value)


# --- Inspecting ----------------------------------------------------------------------------------------------------------
def inspect_as(framework: str, path: Path, ending: str = "") -> dict[str, Any]:
    """What loading the file with that adapter would run, as stored with the checkpoint. `ending` as `pickles.inspect` has it."""
    if framework not in ("timm", "ultralytics") and not _looks_pickled(path):
        return pickles.Inspection(framework).as_json()
    allowed = pickles.ULTRALYTICS if framework == "ultralytics" else pickles.STATE_DICTS
    # Ultralytics' adapter reads every file as torch's, whatever it is called.
    return pickles.inspect(path, allowed, ".pt" if framework == "ultralytics" else ending).as_json()


def _looks_pickled(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2).startswith((b"PK", b"\x80"))
