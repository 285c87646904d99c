"""Uploads for tests, as if a browser had sent them, and files as forms send them."""

import json
from io import BytesIO
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import Project, User
from datasets import uploads
from datasets.models import Upload


def as_bytes(content: Any) -> bytes:
    """JSON, or text and bytes as they are."""
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def make_upload(user: User, project: Project, content: Any = "{}", *, name: str = "truth.json", **fields: Any) -> Upload:
    """Complete, unless it is given a larger `size`."""
    sent = as_bytes(content)
    upload = uploads.create_upload(user, project, name, fields.pop("size", len(sent)))
    uploads.append(upload, 0, BytesIO(sent))
    Upload.objects.filter(pk=upload.pk).update(**fields)
    return upload


def form_file(content: Any, name: str = "truth.json") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, as_bytes(content))
