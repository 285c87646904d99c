"""Where a classifier looked, asked for by a page and found out by a worker; or why that cannot be told. Kept with the job's images."""

import logging

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from inference import results, runner
from inference.adapters.base import AdapterError
from inference.decoding import Unreadable
from inference.models import InferenceResult

log = logging.getLogger("touchstone.inference")


def explain(result: InferenceResult) -> None:
    try:
        runner.explain(result)
    except AdapterError as refusal:
        _keep(result, f"{refusal} {refusal.remedy}".strip())
    except (Unreadable, FileNotFoundError):
        _keep(result, "The image cannot be read any more.")
    except Exception as error:
        log.exception("where a model looked on %s", result.name)
        _keep(result, f"Touchstone itself failed here ({type(error).__name__}: {error}). The log of the worker says more.")


def _keep(result: InferenceResult, reason: str) -> None:
    default_storage.delete(results.heat_reason_name(result))
    default_storage.save(results.heat_reason_name(result), ContentFile(reason.encode()))
