"""The filter of a dataset's images, as the address holds it. What does not fit is left out: a link never breaks."""

from typing import Any

from django import forms
from django.http import QueryDict

from datasets.models import Dataset
from predictions.browsing import MOST_RUNS, SORTS, Selection
from predictions.models import PredictionRun


class FilterForm(forms.Form):
    name = forms.CharField(required=False, max_length=200, label="File name contains")
    split = forms.ModelChoiceField(queryset=None, required=False, to_field_name="name", empty_label="All splits")
    category = forms.ModelChoiceField(queryset=None, required=False, label="Class", empty_label="All classes")
    objects = forms.ChoiceField(
        required=False, label="Ground truth", choices=[("", "Any"), ("some", "With objects"), ("none", "Empty images")]
    )
    predicted = forms.ChoiceField(
        required=False, label="Predictions", choices=[("", "Any"), ("with", "Has predictions"), ("without", "Has none")]
    )
    low = forms.FloatField(required=False, min_value=0, label="Confidence from")
    high = forms.FloatField(required=False, min_value=0, label="to")
    sort = forms.ChoiceField(required=False, choices=[(key, label) for key, (label, _) in SORTS.items()], label="Order")

    def __init__(self, data: QueryDict, dataset: Dataset) -> None:
        super().__init__(data)
        self.dataset = dataset
        self.fields["split"].queryset = dataset.splits.all()  # type: ignore[attr-defined]
        self.fields["category"].queryset = dataset.categories.all()  # type: ignore[attr-defined]
        self.runs = list(PredictionRun.objects.completed().filter(dataset=dataset))

    def selection(self) -> Selection:
        """The filter with all that is valid of it."""
        self.is_valid()
        fields: dict[str, Any] = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        return Selection(self.dataset, runs=self.chosen_runs(), **fields)

    def chosen_runs(self) -> list[PredictionRun]:
        """By the ids in the address; without any, the newest run; `run=none` shows none."""
        wanted = self.data.getlist("run")  # type: ignore[attr-defined]
        if not wanted:
            return self.runs[-1:]
        return [run for run in self.runs if str(run.pk) in wanted][:MOST_RUNS]

    @property
    def is_filtering(self) -> bool:
        names = ("name", "split", "category", "objects", "predicted", "low", "high")
        return any(self.data.get(name) for name in names)
