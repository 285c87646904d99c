"""Forms of the inference pages."""

from collections.abc import Mapping
from typing import Any

from django import forms

from accounts.models import Project
from datasets.models import Dataset, JobStatus, Split
from inference.adapters.base import DEFAULTS
from predictions.models import Checkpoint


class CheckpointField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        about = ", ".join(part for part in (obj.architecture, obj.get_task_type_display() if obj.task_type else "") if part)
        epoch = "" if obj.epoch is None else f", epoch {obj.epoch:g}"
        return f"{obj}{epoch}{f' ({about})' if about else ''}"


class CheckpointForm(forms.Form):
    """Which checkpoint, and above which confidence and overlap its answers count."""

    checkpoint = CheckpointField(Checkpoint.objects.none(), empty_label=None)

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["checkpoint"]
        field.queryset = Checkpoint.objects.filter(project=project).runnable().order_by("-pk")
        self.has_checkpoints = field.queryset.exists()


class TryForm(CheckpointForm):
    beside = CheckpointField(Checkpoint.objects.none(), required=False, empty_label="one checkpoint alone")
    image = forms.FileField(label="Image", max_length=1000)

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(project, *args, **kwargs)
        self.fields["beside"].queryset = self.fields["checkpoint"].queryset  # type: ignore[attr-defined]


class ManyFilesField(forms.FileField):
    widget = forms.ClearableFileInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        files = data if isinstance(data, (list, tuple)) else [data] if data else []
        return [super(ManyFilesField, self).clean(file, initial) for file in files]


class ManyFilesInput(forms.FileInput):
    allow_multiple_selected = True


class SettingsForm(forms.Form):
    """Which of a checkpoint's answers count; as InferenceSettings has them."""

    confidence = forms.FloatField(
        label="Confidence from", min_value=0, max_value=1, initial=DEFAULTS.confidence, required=False,
        widget=forms.NumberInput(attrs={"step": "any"}),
    )  # fmt: skip
    iou = forms.FloatField(
        label="Overlap (IoU) up to", min_value=0, max_value=1, initial=DEFAULTS.iou, required=False,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="Of two objects of a class that overlap more, the surer one stays.",
    )  # fmt: skip
    max_objects = forms.IntegerField(
        label="Objects of an image", min_value=1, max_value=1_000, initial=DEFAULTS.max_objects, required=False,
        help_text="At most so many, the surest.",
    )  # fmt: skip

    def asked(self) -> dict[str, Any]:
        """What somebody chose; the rest is as usual."""
        given = {name: self.cleaned_data[name] for name in ("confidence", "iou", "max_objects")}
        return {name: value for name, value in given.items() if value is not None}


class BatchForm(CheckpointForm, SettingsForm):
    files: Any = ManyFilesField(
        label="Images, or a ZIP of them", widget=ManyFilesInput(attrs={"accept": "image/*,.zip"}), max_length=1000
    )


class DatasetForm(CheckpointForm, SettingsForm):
    split = forms.ModelChoiceField(Split.objects.none(), empty_label=None, label="Dataset and split")
    name = forms.CharField(
        max_length=120, required=False, label="Name of the run", help_text="Left empty: the checkpoint's name."
    )

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(project, *args, **kwargs)
        splits: Any = self.fields["split"]
        splits.queryset = (
            Split.objects.filter(dataset__project=project, sample_count__gt=0)
            .select_related("dataset")
            .order_by("-dataset", "name")
        )
        splits.label_from_instance = lambda split: f"{split.dataset} / {split.name} ({split.sample_count:,} images)"
        self.has_splits = splits.queryset.exists()


CLASS_INPUT = "class_{}"  # of a category's id: which class of the checkpoint becomes it


def mapped_classes(data: Mapping[str, Any], dataset: Dataset) -> dict[str, str]:
    """Classes of the checkpoint -> the dataset's, as the page's fields assign them. Raises ValidationError."""
    found: dict[str, str] = {}
    for key, ours in dataset.categories.values_list("pk", "name"):
        theirs = data.get(CLASS_INPUT.format(key), "").strip()
        if theirs in found:
            raise forms.ValidationError(f"{theirs} can become {found[theirs]} or {ours}, not both.")
        if theirs:
            found[theirs] = ours
    return found


class HistoryForm(forms.Form):
    """The filters of the history; what is not valid filters nothing."""

    status = forms.ChoiceField(choices=[("", "Any status"), *JobStatus.choices[1:]], required=False)
    checkpoint = CheckpointField(Checkpoint.objects.none(), required=False, empty_label="Any checkpoint")
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["checkpoint"].queryset = Checkpoint.objects.filter(project=project).runnable().order_by("-pk")  # type: ignore[attr-defined]


class KeepForm(forms.Form):
    """Where an image is sent on to."""

    dataset = forms.ModelChoiceField(Dataset.objects.none(), empty_label=None)

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["dataset"].queryset = Dataset.objects.filter(project=project).order_by("-updated_at")  # type: ignore[attr-defined]
