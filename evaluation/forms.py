"""What the address of a comparison asks for. What does not fit is left out, so that a link never breaks."""

from typing import Any

from django import forms
from django.http import QueryDict

from evaluation.scores import CONFIDENCE

SHOWN = {
    "changed": "Changed",
    "regressed": "Regressed",
    "improved": "Improved",
    "unchanged": "Unchanged",
    "all": "All shared items",
    "only_baseline": "Only in the baseline",
    "only_candidate": "Only in the candidate",
}
MOST_CANDIDATES, MOST_IN_MATRIX = 6, 20
LARGEST_ID = 2**63 - 1


class CompareForm(forms.Form):
    """How two runs are compared, and which items are shown."""

    metric = forms.CharField(required=False, max_length=200)
    tag = forms.CharField(required=False, max_length=60)
    show = forms.ChoiceField(required=False, choices=list(SHOWN.items()))
    confidence = forms.FloatField(required=False, min_value=0, max_value=1)
    set = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    q = forms.CharField(required=False, max_length=120)

    def asked(self) -> dict[str, Any]:
        """All that is valid, with what is usual for the rest."""
        self.is_valid()
        given = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        return {"metric": "", "tag": "", "show": "changed", "confidence": CONFIDENCE, "set": None, "q": ""} | given


def run_ids(query: QueryDict, name: str, most: int) -> list[int]:
    """The ids of runs under this name, each once, in order."""
    given = [int(value) for value in query.getlist(name) if value.isascii() and value.isdecimal() and len(value) < 20]
    return list(dict.fromkeys(value for value in given if value <= LARGEST_ID))[:most]
