"""What people type on the pages of datasets."""

from django import forms

from datasets import task_types
from datasets.models import Dataset


class DatasetForm(forms.ModelForm):
    task_type = forms.ChoiceField(choices=task_types.choices, initial="detection", widget=forms.RadioSelect)

    class Meta:
        model = Dataset
        fields = ["name", "task_type", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {"description": "Where it comes from, what is in it, what it is for."}


class DatasetSettingsForm(forms.ModelForm):
    class Meta:
        model = Dataset
        fields = ["name", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}


class DatasetFilterForm(forms.Form):
    """The state of the list, as it stands in the address."""

    search = forms.CharField(required=False, max_length=120)
    task_type = forms.ChoiceField(choices=lambda: [("", "All tasks"), *task_types.choices()], required=False)
