"""What the addresses of test runs ask for. What does not fit is left out, so that a link never breaks."""

from typing import Any

from django import forms
from django.http import QueryDict

from evaluation.galleries import ERROR_KINDS, ERRORS, OUTCOMES, Choice
from evaluation.image_results import Wanted
from evaluation.models import TestRun
from evaluation.operating_points import ORDERS

# Of images: what it is called, and by which field of `image_results.SORTS`.
IMAGE_SORTS = {
    "worst": ("Worst first", "f1"),
    "mistakes": ("Mistakes first", "is_correct"),
    "loss": ("Top losses", "-loss"),
    "sure": ("Surest first", "-confidence"),
    "unsure": ("Least sure first", "confidence"),
    "wrong": ("Most wrong predictions", "-false_positives"),
    "missed": ("Most missed objects", "-false_negatives"),
    "file": ("As in the dataset", "id"),
}
LABEL_SORTS = ("loss", "mistakes", "sure", "unsure", "file")
OBJECT_SORTS = ("worst", "wrong", "missed", "sure", "unsure", "file")


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
        usual = {
            "confidence": None,
            "order": "confused",
            "outcome": "",
            "error": "",
            "category": None,
            "true": None,
            "predicted": None,
        }
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
    """Which images of a test run are listed, in what order. Without an order: what is worst comes first."""

    outcome = forms.ChoiceField(
        required=False, choices=[("", "Any outcome"), ("right", "All right"), ("wrong", "With a mistake")]
    )
    true = forms.ChoiceField(required=False, label="True class")
    predicted = forms.ChoiceField(required=False, label="Predicted class")
    error = forms.ChoiceField(required=False)
    sort = forms.ChoiceField(required=False, label="Order")

    def __init__(self, data: QueryDict, test_run: TestRun) -> None:
        super().__init__(data)
        classes = [(str(place), name) for place, name in enumerate(test_run.class_names)]
        is_labels = test_run.task_type == "classification"
        self.sorts = [
            name for name in (LABEL_SORTS if is_labels else OBJECT_SORTS) if name != "loss" or test_run.overall_loss is not None
        ]
        errors = [] if is_labels else [(name, label) for name, label, _ in ERRORS.values()]
        self._offer("true", [("", "Any true class"), *classes])
        self._offer("predicted", [("", "Any predicted class"), *classes])
        self._offer("error", [("", "Any error"), *errors])
        self._offer("sort", [(name, IMAGE_SORTS[name][0]) for name in self.sorts])
        if is_labels:
            # A classifier's one kind of error is a wrong class.
            del self.fields["error"]

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def wanted(self) -> Wanted:
        self.is_valid()
        given = {name: value for name, value in self.cleaned_data.items() if value}
        _, sort = IMAGE_SORTS[given.get("sort", self.sorts[0])]
        return Wanted(
            true_class=int(given["true"]) if "true" in given else None,
            predicted_class=int(given["predicted"]) if "predicted" in given else None,
            is_correct=given["outcome"] == "right" if "outcome" in given else None,
            error=ERROR_KINDS[given["error"]] if "error" in given else None,
            sort=sort,
        )
