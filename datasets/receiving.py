"""How files sent with forms are received: into the upload folder at once, and never more than the server takes."""

import os
import tempfile
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler

ROOM_FOR_FIELDS = 1024 * 1024


class ReceivedFile(TemporaryUploadedFile):
    """A temporary file on the disk of the uploads, so that keeping it is a rename, however large it is."""

    def __init__(self, name: str | None, content_type: str | None, size: int, charset: str | None, extra: Any) -> None:
        os.makedirs(settings.UPLOAD_ROOT, mode=0o700, exist_ok=True)  # noqa: PTH103 - as one call
        file = tempfile.NamedTemporaryFile(prefix="form-", dir=settings.UPLOAD_ROOT)  # noqa: SIM115 - closed with the request
        UploadedFile.__init__(self, file, name, content_type, size, charset, extra)


class ReceivedFileHandler(TemporaryFileUploadHandler):
    """For settings.FILE_UPLOAD_HANDLERS."""

    def handle_raw_input(
        self, input_data: Any, META: dict[str, Any], content_length: int, boundary: Any, encoding: str | None = None
    ) -> None:
        if content_length > settings.MAX_UPLOAD_BYTES + ROOM_FOR_FIELDS:
            raise RequestDataTooBig(
                f"This server takes files of up to {settings.MAX_UPLOAD_BYTES // 1024**2:,} MB. Import larger ones from a folder "
                "on the server, or have TOUCHSTONE_MAX_UPLOAD_MB raised."
            )

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        FileUploadHandler.new_file(self, *args, **kwargs)
        self.file = ReceivedFile(self.file_name, self.content_type, 0, self.charset, self.content_type_extra)
