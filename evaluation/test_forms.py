"""What the addresses of test runs ask for. What does not fit is left out, so that a link never breaks."""

from typing import Any

from django import forms
from django.http import QueryDict

from evaluation.galleries import ERROR_KINDS, OUTCOMES, Choice
from evaluation.operating_points import ORDERS

IMAGE_SORTS = {
    "worst": ("Worst first", ["f1", "-false_positives", "pk"]),
    "loss": ("Top losses", ["-loss", "pk"]),
    "confidence": ("Surest first", ["-confidence", "pk"]),
    "unsure": ("Least sure first", ["confidence", "pk"]),
    "false_positives": ("Most wrong predictions", ["-false_positives", "pk"]),
    "false_negatives": ("Most missed objects", ["-false_negatives", "pk"]),
    "file": ("As in the dataset", ["sample_id"]),
}


class PointForm(forms.Form):
    """The operating point and which objects are looked at."""

    confidence = forms.FloatField(required=False, min_value=0, max_value=1)
    order = forms.ChoiceField(required=False, choices=list(ORDERS.items()))
    outcome = forms.ChoiceField(required=False, choices=list(OUTCOMES.items()))
    error = forms.ChoiceField(required=False, choices=[(name, name) for name in ERROR_KINDS])
    category = forms.IntegerField(required=False, min_value=0)
    true = forms.IntegerField(required=False, min_value=0)
    predicted = forms.IntegerField(required=False, min_value=0)

    def asked(self) -> dict[str, Any]:
        """All that is valid, with what is usual for the rest."""
        self.is_valid()
        given = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        usual = {"confidence": None, "order": "confused", "outcome": "", "error": "", "category": None, "true": None, "predicted": None}
        return usual | given

    def choice(self, classes: int) -> Choice:
        """Which objects; a class that is none of the run's is left out. Background comes after the classes."""
        asked = self.asked()
        cell = asked["true"], asked["predicted"]
        in_cell = all(place is not None and place <= classes for place in cell)
        category = asked["category"]
        return Choice(
            outcome=asked["outcome"],
            category=category if category is not None and category < classes else None,
            true=cell[0] if in_cell else None,
            predicted=cell[1] if in_cell else None,
            error=asked["error"],
        )


class ImagesForm(forms.Form):
    """Which images of a test run are listed, in what order."""

    outcome = forms.ChoiceField(required=False, choices=[("", "Any outcome"), ("right", "All right"), ("wrong", "With a mistake")])
    true = forms.ChoiceField(required=False)
    predicted = forms.ChoiceField(required=False)
    error = forms.ChoiceField(required=False)
    sort = forms.ChoiceField(required=False, choices=[(key, label) for key, (label, _) in IMAGE_SORTS.items()])

    def __init__(self, data: QueryDict, class_names: list[str], errors: list[tuple[str, str]]) -> None:
        super().__init__(data)
        classes = [(str(place), name) for place, name in enumerate(class_names)]
        self.fields["true"].choices = [("", "Any true class"), *classes]  # type: ignore[attr-defined]
        self.fields["predicted"].choices = [("", "Any predicted class"), *classes]  # type: ignore[attr-defined]
        self.fields["error"].choices = [("", "Any error"), *errors]  # type: ignore[attr-defined]

    def asked(self) -> dict[str, Any]:
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}
