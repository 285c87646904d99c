"""The form of a new test run: what is tested, on what, under which rules."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Project
from datasets import task_types
from datasets.models import Dataset, Split
from evaluation.rules import LABELS, protocol_names
from evaluation.test_protocol import PROTOCOL_NAMES
from evaluation.test_runs import LEAST_CONFIDENCE, Asked
from inference.forms import SettingsForm, mapped_classes
from predictions.models import Checkpoint, PredictionRun, PredictionSetVersion, SetKind


class RunField(forms.ModelChoiceField):
    def label_from_instance(self, run: PredictionRun) -> str:
        return f"{run.name} on {run.dataset}{f' / {run.split}' if run.split else ''}"


class SplitField(forms.ModelChoiceField):
    def label_from_instance(self, split: Split) -> str:
        return f"{split.dataset} / {split.name} ({split.sample_count:,} images)"


class NewTestForm(forms.Form):
    """Either a run that exists or a checkpoint, which predicts the split first."""

    run = RunField(PredictionRun.objects.none(), required=False, empty_label="None: predict with a checkpoint")
    checkpoint = forms.ModelChoiceField(Checkpoint.objects.none(), required=False, empty_label="None: judge a run")
    split = SplitField(Split.objects.none(), required=False, label="Images", empty_label="As the run has them")
    set_version = forms.ModelChoiceField(
        PredictionSetVersion.objects.none(), required=False, label="Only those of a set", empty_label="All of them"
    )
    name = forms.CharField(required=False, max_length=200, help_text="Empty: the name of what is tested.")
    task_type = forms.ChoiceField(
        required=False, label="Judge as", help_text="Masks and keypoints have boxes, too: they can be judged as detection."
    )
    protocol = forms.ChoiceField(required=False)
    match_iou = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        label="Overlap of a match",
        help_text="0.5 unless you say another. Counts, errors and the confusion matrix go by it.",
    )
    confidence = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        label="Confidence",
        help_text="Where counts are told. Empty: where F1 is best. The page's slider moves it later.",
    )
    least_confidence = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        label="Least confidence",
        help_text="Less sure predictions are left out. Average precision wants them.",
    )

    sigmas = forms.CharField(
        required=False,
        strip=True,
        max_length=100_000,
        label="Sigmas of keypoints",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": "dog: 0.03, 0.03, 0.05"}),
        help_text="Poses: how exactly people place each keypoint, in order; for all classes, or a line for each. "
        "Empty: COCO's for its person, else the same for all.",
    )

    def __init__(self, project: Project, data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        # How a checkpoint is asked; "confidence" alone is that of the counts.
        self.predicting = SettingsForm(data, prefix="predict", initial={"confidence": LEAST_CONFIDENCE})
        runs = (
            PredictionRun.objects.completed()
            .of_images()
            .filter(project=project)
            .select_related("dataset", "split")
            .order_by("-pk")
        )
        self.fields["run"].queryset = runs  # type: ignore[attr-defined]
        self.fields["checkpoint"].queryset = Checkpoint.objects.filter(project=project).runnable().order_by("-pk")  # type: ignore[attr-defined]
        splits = Split.objects.filter(dataset__project=project, sample_count__gt=0).select_related("dataset")
        self.fields["split"].queryset = splits.order_by("dataset__name", "name")  # type: ignore[attr-defined]
        sets = PredictionSetVersion.objects.published().filter(
            prediction_set__project=project, prediction_set__kind=SetKind.CURATED, items__sample__isnull=False
        )
        self.fields["set_version"].queryset = sets.select_related("prediction_set").distinct()  # type: ignore[attr-defined]
        names = [("", "The usual one of the task")] + [
            (name, label) for name, label in PROTOCOL_NAMES.items() if name != LABELS
        ]
        self.fields["task_type"].choices = [("", "What the dataset is for"), *task_types.choices()]  # type: ignore[attr-defined]
        self.fields["protocol"].choices = names  # type: ignore[attr-defined]

    def clean_sigmas(self) -> list[float] | dict[str, list[float]] | None:
        """Numbers for all classes, or by class; None where nothing is said."""
        try:
            return _sigmas(self.cleaned_data["sigmas"])
        except ValueError:
            raise ValidationError("Write numbers, or on each line a class, a colon and its numbers.") from None

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        run, checkpoint, split = (found.get(name) for name in ("run", "checkpoint", "split"))
        if not self.errors:
            if bool(run) == bool(checkpoint):
                self.add_error("run", "Choose a run that exists, or a checkpoint: one of the two.")
            elif checkpoint and not split:
                self.add_error("split", "Choose the images that the checkpoint is to predict.")
            elif checkpoint and not self.predicting.is_valid():
                self.add_error(None, "Correct how the checkpoint is asked.")
            else:
                dataset: Dataset = run.dataset if run else split.dataset  # type: ignore[union-attr]
                found["asked"] = self._asked(found, found["task_type"] or dataset.task_type)
                if checkpoint:
                    found["predicting"] = self.predicting.asked() | {"class_mapping": mapped_classes(self.data, dataset)}
        return found

    def _asked(self, found: dict[str, Any], task_type: str) -> Asked:
        """With the rules that differ from the protocol's own."""
        is_objects = task_type != LABELS
        names = ("match_iou", "confidence", "least_confidence") if is_objects else ("least_confidence",)
        names = (*names, "sigmas") if task_type == "pose" else names
        rules = {name: found[name] for name in names if found.get(name) is not None}
        protocol = found["protocol"] if found["protocol"] in protocol_names(task_type) else ""
        return Asked(
            name=found["name"],
            split=found["split"],
            set_version=found["set_version"],
            protocol=protocol,
            rules=rules,
            task_type=task_type,
        )


def _sigmas(text: str) -> list[float] | dict[str, list[float]] | None:
    """Raises ValueError."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and ":" not in text:
        return _numbers(text)
    # A class's name may hold colons, its numbers do not.
    parts = [line.rpartition(":") for line in lines]
    if not all(name.strip() for name, _, _ in parts):
        raise ValueError
    return {name.strip(): _numbers(values) for name, _, values in parts} or None


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.replace(",", " ").split()]
