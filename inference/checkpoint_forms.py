"""What people type about checkpoints."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from datasets.task_types import TASK_TYPES
from inference import adapters
from inference.checkpoints import CheckpointRefused, server_checkpoint
from inference.models import ExportFormat
from predictions.models import TrainingJob

FRAMEWORK_LABELS = {"timm": "timm", "ultralytics": "Ultralytics", "onnx": "ONNX"}


class CheckpointForm(forms.Form):
    """A file, uploaded beforehand or with the form, or a path on the server; and what the file does not tell."""

    file = forms.FileField(required=False)
    upload = forms.UUIDField(required=False, widget=forms.HiddenInput)
    path = forms.CharField(required=False, max_length=1000, label="Path on the server")
    name = forms.CharField(required=False, max_length=200, help_text="Default: the file's name.")
    framework = forms.ChoiceField(required=False, help_text="Found out by looking, where it is left open.")
    architecture = forms.CharField(
        required=False, max_length=200, help_text="timm's name, such as resnet18, where the file does not say."
    )
    class_names = forms.CharField(
        required=False,
        label="Class names",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="One a line, in the order of the outputs, where the file does not hold them.",
    )
    job = forms.ModelChoiceField(TrainingJob.objects.none(), required=False, label="Training job", empty_label="none")
    epoch = forms.FloatField(required=False, min_value=0)

    def __init__(self, *args: Any, project: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [(key, FRAMEWORK_LABELS.get(key, key)) for key in sorted(adapters.known())]
        self.fields["framework"].choices = [("", "As the file looks"), *known]  # type: ignore[attr-defined]
        self.fields["job"].queryset = TrainingJob.objects.filter(project=project)  # type: ignore[attr-defined]
        if not settings.CHECKPOINT_ROOTS:
            del self.fields["path"]

    def clean_path(self) -> Any:
        text = self.cleaned_data["path"]
        try:
            return server_checkpoint(text) if text else None
        except CheckpointRefused as refusal:
            raise ValidationError(f"{refusal} {refusal.remedy}") from None

    def clean_class_names(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["class_names"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        sources = [name for name in ("file", "upload", "path") if given.get(name)]
        if len(sources) != 1 and not self.errors:
            raise ValidationError("Choose one file, or name one on the server." if not sources else "Give one source only.")
        return given


class CheckpointFilterForm(forms.Form):
    search = forms.CharField(required=False, max_length=120)
    framework = forms.CharField(required=False, max_length=40)
    task_type = forms.ChoiceField(required=False, choices=[("", "Any task"), *TASK_TYPES.items()])
    job = forms.IntegerField(required=False)


class TrustForm(forms.Form):
    note = forms.CharField(max_length=300, help_text="Where the file comes from, and why it may run its own code here.")


class ExportForm(forms.Form):
    format = forms.ChoiceField(choices=ExportFormat.choices)
