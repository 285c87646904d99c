"""What people say on the import pages."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile

from accounts.models import User
from datasets.importers import IMPORTERS
from datasets.importers.problems import ImportRefused
from datasets.models import Dataset, Upload
from datasets.sources import server_path
from datasets.uploads import UploadRefused, given_upload

LONGEST_PATH = 4096


class SourceForm(forms.Form):
    """A file, sent with the form or uploaded beforehand, or a path on the server where that is allowed.

    Cleaned, `source` holds the keyword arguments `upload` and `path` of the operations.
    """

    place = forms.ChoiceField(choices=[("upload", "Upload a file"), ("server", "On the server")], required=False)
    file = forms.FileField(required=False, allow_empty_file=True, max_length=1000)
    upload = forms.UUIDField(required=False)
    path = forms.CharField(required=False, max_length=LONGEST_PATH, label="Path on the server")

    def __init__(self, user: User, dataset: Dataset, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.dataset = user, dataset
        # Uploads by field, so that a corrected form, or another try with the same file, need not send them again.
        self.kept: dict[str, Upload] = {}
        if not self.is_bound and (upload := self._earlier_upload()):
            self.kept["file"] = upload

    def _earlier_upload(self) -> Upload | None:
        """The upload that the address names: somebody starts anew with a file that is here already."""
        try:
            key = forms.UUIDField().clean(self.initial.get("upload"))
        except forms.ValidationError:
            return None
        return Upload.objects.visible_to(self.user).filter(project=self.dataset.project, pk=key).first()

    @property
    def roots(self) -> list[Path]:
        return list(settings.IMPORT_ROOTS)

    @property
    def is_on_server(self) -> bool:
        return bool(self.roots) and self["place"].value() == "server"

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if cleaned.get("place") == "server":
            cleaned["source"] = {"upload": None, "path": self.find_path("path")}
        else:
            cleaned["source"] = {"upload": self.find_upload("file", "upload"), "path": None}
        if not self.errors and not any(cleaned["source"].values()):
            on_server = cleaned.get("place") == "server"
            self.add_error("path" if on_server else "file", "Name a file or folder." if on_server else "Choose a file first.")
        return cleaned

    def find_upload(self, file_field: str, upload_field: str) -> Upload | None:
        file: TemporaryUploadedFile | None = self.cleaned_data.get(file_field)
        upload: UUID | None = self.cleaned_data.get(upload_field)
        try:
            found = given_upload(self.user, self.dataset.project, file=file, upload=upload)
        except ImportRefused as refusal:
            self.add_error(file_field, refusal.in_words())
        except UploadRefused as refusal:
            self.add_error(file_field, f"{refusal.message} {refusal.remedy}")
        else:
            if found:
                self.kept[file_field] = found
            return found
        return None

    def find_path(self, field: str) -> Path | None:
        text = (self.cleaned_data.get(field) or "").strip()
        try:
            return server_path(text) if text else None
        except ImportRefused as refusal:
            self.add_error(field, refusal.in_words())
            return None


class DatasetImportForm(SourceForm):
    split = forms.CharField(max_length=60, initial="val", help_text="The part of the dataset that this becomes.")
    images_file = forms.FileField(required=False, max_length=1000)
    images_upload = forms.UUIDField(required=False)
    images_path = forms.CharField(required=False, max_length=LONGEST_PATH, label="Folder of the images on the server")
    importer = forms.ChoiceField(
        choices=lambda: [("", "Find out by looking"), *((key, label) for key, (label, _) in IMPORTERS.items())],
        required=False,
        label="Kind of source",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        cleaned["images"] = {
            "images_upload": self.find_upload("images_file", "images_upload"),
            "images": self.find_path("images_path"),
        }
        if all(cleaned["images"].values()):
            self.add_error("images_path", "Give the images once: a ZIP or a folder on the server.")
        return cleaned
