"""The filter of a dataset's images, as the address holds it. What does not fit is left out: a link never breaks."""

from typing import Any

from django import forms
from django.http import QueryDict

from datasets.models import Dataset
from predictions.browsing import MOST_RUNS, SORTS, Selection
from predictions.models import PredictionRun


class FilterForm(forms.Form):
    name = forms.CharField(required=False, max_length=200, label="File name contains")
    split = forms.ChoiceField(required=False)
    category = forms.ChoiceField(required=False, label="Class")
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
        # Read once, for the choices here and for what the page shows of them.
        self.splits = {split.name: split for split in dataset.splits.all()}
        self.categories = {str(category.pk): category for category in dataset.categories.all()}
        self.fields["split"].choices = [("", "All splits"), *((name, name) for name in self.splits)]  # type: ignore[attr-defined]
        self.fields["category"].choices = [("", "All classes"), *self.categories.items()]  # type: ignore[attr-defined]
        self.runs = list(PredictionRun.objects.completed().filter(dataset=dataset))

    def selection(self) -> Selection:
        """The filter with all that is valid of it."""
        self.is_valid()
        fields: dict[str, Any] = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        fields["split"] = self.splits.get(fields.get("split", ""))
        fields["category"] = self.categories.get(fields.get("category", ""))
        return Selection(self.dataset, runs=self.chosen_runs(), **fields)

    def chosen_runs(self) -> list[PredictionRun]:
        """By the ids in the address; without any, the newest run; `run=none` shows none."""
        wanted = self.data.getlist("run")  # type: ignore[attr-defined]
        if not wanted:
            return self.runs[-1:]
        return [run for run in self.runs if str(run.pk) in wanted][:MOST_RUNS]
