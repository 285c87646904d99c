"""What people say on the page that imports predictions."""

from typing import Any

from django import forms

from datasets.import_forms import SourceForm


class PredictionImportForm(SourceForm):
    name = forms.CharField(
        max_length=120,
        initial="prediction",
        label="Name of the run",
        help_text="Several runs stand side by side under their names; a run of the same name is replaced.",
    )
    split = forms.ChoiceField(required=False, help_text="The part of the dataset that the results speak of.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [split.name for split in self.dataset.splits.all()]
        self.fields["split"].choices = [("", "All splits"), *((name, name) for name in names)]  # type: ignore[attr-defined]
        if len(names) < 2:
            del self.fields["split"]
