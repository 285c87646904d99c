"""What people type about training jobs. The panel itself is checked in `predictions.panel`, as for API and client."""

import json
from typing import Any

from django import forms

from accounts.models import Project
from predictions import validators
from predictions.models import PredictionSetVersion, TrainingJob
from predictions.models.training import check_job_id, task_type_choices
from predictions.panel import FREQUENCIES, Panel, PanelError, parse_panel

PANEL_FIELDS = tuple(Panel.__dataclass_fields__)
SOURCE_LABELS = {"dataset": "Draw from a dataset file", "set": "A prediction set"}
FREQUENCY_LABELS = {"epoch": "After every epoch", "eval": "At every evaluation", "steps": "Every N steps"}


class PanelForm(forms.Form):
    """The predictions panel of a job's config."""

    enabled = forms.BooleanField(
        required=False,
        initial=True,
        label="Sample predictions during training",
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    source = forms.ChoiceField(
        choices=list(SOURCE_LABELS.items()), initial="dataset", label="Questions", widget=forms.RadioSelect
    )
    dataset_path = forms.CharField(
        required=False,
        max_length=2000,
        label="Dataset file",
        help_text="A JSON array or JSONL file (also .gz) as the training machine sees it. Empty: as the script says.",
    )
    prediction_set = forms.ChoiceField(required=False, label="Prediction set")
    sample_count = forms.IntegerField(initial=32, min_value=1, max_value=10_000, label="Prompts")
    sample_frequency = forms.ChoiceField(
        choices=[(key, FREQUENCY_LABELS[key]) for key in FREQUENCIES], initial="epoch", label="How often"
    )
    every_steps = forms.IntegerField(required=False, min_value=1, label="N steps")
    seed = forms.IntegerField(initial=42, min_value=0, max_value=2**32 - 1, help_text="The same seed draws the same prompts.")
    max_new_tokens = forms.IntegerField(initial=128, min_value=1, max_value=32_768, label="Most new tokens")
    batch_size = forms.IntegerField(initial=8, min_value=1, max_value=4096)
    max_overhead = forms.FloatField(
        required=False,
        min_value=0.001,
        max_value=1,
        label="Most overhead",
        help_text="Share of the training time, such as 0.05. Where sampling takes more, it becomes rarer.",
    )
    validators = forms.CharField(
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 4, "spellcheck": "false", "placeholder": "is_json\nmax_length: 200\nnot contains: Sorry"}
        ),
        help_text="One a line, as 'type: value', with 'not' in front to turn it round; whatever needs more than a value as JSON, "
        'such as {"type": "levenshtein", "value": "Paris", "threshold": 2, "weight": 3}. '
        f"Types: {', '.join(name for name, kind in validators.VALIDATORS.items() if kind.applies_to == validators.TEXT)}.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = PredictionSetVersion.objects.filter(prediction_set__project=project).exclude(content_hash="")
        named = versions.select_related("prediction_set").order_by("prediction_set__name", "-number")
        choices = [(str(version), f"{version} · {version.item_count:,} items") for version in named[:500]]
        chooser = self.fields["prediction_set"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = [("", "Choose a set" if choices else "This project has no sets yet"), *choices]
        self.set_sizes = {str(version): version.item_count for version in named[:500]}

    def clean_validators(self) -> list[dict[str, Any]]:
        found = [as_validator(line) for line in self.cleaned_data["validators"].splitlines() if line.strip()]
        wrong = validators.check(found, validators.TEXT)
        if wrong:
            raise forms.ValidationError(wrong)
        return found

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.errors:
            return given
        try:
            given["panel"] = parse_panel({name: given[name] for name in PANEL_FIELDS})
        except PanelError as error:
            for name, reason in error.errors.items():
                self.add_error(name, reason)
        return given


class TrainingJobForm(forms.Form):
    """Who the job is."""

    name = forms.CharField(max_length=200, help_text="For people, such as 'Dates, learning rate 3e-4'.")
    job_id = forms.CharField(
        max_length=120,
        required=False,
        validators=[check_job_id],
        label="Job id",
        help_text="For scripts and addresses. Empty: one is made. It stays.",
    )
    task_type = forms.ChoiceField(choices=task_type_choices, initial="text", label="Task")


class JobTokenForm(forms.Form):
    name = forms.CharField(max_length=80, initial="training", help_text="Where it is used.")
    days = forms.IntegerField(initial=30, min_value=1, max_value=366, label="Days", help_text="Then it ends by itself.")


class PlanForm(forms.Form):
    """What only the cost preview asks for; it is not stored."""

    epochs = forms.FloatField(initial=3, min_value=0, max_value=100_000, required=False)
    steps_per_epoch = forms.IntegerField(initial=1000, min_value=1, max_value=100_000_000, required=False)


def panel_initial(job: TrainingJob) -> dict[str, Any]:
    """A job's panel as the form shows it."""
    panel = job.panel
    return {**panel.as_dict(), "validators": "\n".join(as_line(each) for each in panel.validators)}


def as_validator(line: str) -> dict[str, Any]:
    """'not contains: Sorry' as {"type": "contains", "value": "Sorry", "not": True}; a line of JSON as what it says.

    A value that does not do as a text is read as JSON: numbers, lists, schemas.
    """
    line = line.strip()
    if line.startswith("{"):
        given = _json_or_none(line)
        return given if isinstance(given, dict) else {"type": line}
    name, _, value = line.partition(":")
    words = name.split()
    turned = len(words) > 1 and words[0] == "not"
    found: dict[str, Any] = {"type": " ".join(words[turned:])}
    if text := value.strip():
        kind, _ = validators.find(found["type"])
        as_json = None if kind is None or kind.check({"value": text}) is None else _json_or_none(text)
        found["value"] = text if as_json is None else as_json
    return found | ({"not": True} if turned else {})


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def as_line(validator: dict[str, Any]) -> str:
    """The short line where it says all, else JSON."""
    value = validator.get("value")
    text = "" if value is None else f": {value if isinstance(value, str) else json.dumps(value)}"
    line = f"{'not ' if validator.get('not') else ''}{validator.get('type', '')}{text}"
    return line if "\n" not in line and as_validator(line) == validator else json.dumps(validator)
