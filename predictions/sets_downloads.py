"""A version of a set as a file that a browser saves."""

from django.http import HttpResponse

from predictions import set_imports
from predictions.models import PredictionSetVersion


def download(version: PredictionSetVersion, file_format: str) -> HttpResponse:
    """Raises SetFileRefused for what the format cannot hold."""
    response = HttpResponse(set_imports.export(version, file_format), content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{set_imports.file_name(version, file_format)}"'
    return response
