"""What people type about gates. What fits together is checked on the models, as for the API."""

from typing import Any

from django import forms

from accounts.models import Project
from evaluation.alert_forms import run_choices, runs_of
from evaluation.models import Gate, GateLimit
from evaluation.scores import CUSTOM, METRICS, metric_of
from predictions.models import PredictionRun, PredictionSet, TrainingJob
from predictions.scoring import SCORE_NAMES

MOST_LIMITS = 8


class GateForm(forms.ModelForm):
    class Meta:
        model = Gate
        fields = ["name", "prediction_set", "job", "against", "baseline", "least_items", "allows_differences"]
        labels = {
            "prediction_set": "Runs that answer the set",
            "job": "or runs of the job",
            "against": "Baseline of the largest drop",
            "baseline": "The fixed run",
            "least_items": "Fewest scored items",
            "allows_differences": "Decide also where run and baseline were not made alike",
        }
        help_texts = {
            "name": "For addresses and scripts: letters, digits, and the signs . _ -",
            "least_items": "Over fewer, nothing is decided.",
            "allows_differences": "",
        }
        widgets = {"allows_differences": forms.CheckboxInput(attrs={"class": "form-check-input"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        gate, fields = self.instance, dict[str, Any](self.fields)
        project = gate.project
        fields["job"].queryset = TrainingJob.objects.filter(project=project).only("name", "project")
        fields["prediction_set"].queryset = PredictionSet.objects.filter(project=project)
        fields["job"].empty_label = fields["prediction_set"].empty_label = "None"
        fields["baseline"].queryset = runs_of(project)
        fields["baseline"].choices = run_choices(project, gate.baseline if gate.baseline_id else None)


class LimitForm(forms.Form):
    """One line: a score and what it must hold."""

    metric = forms.ChoiceField(required=False, label="Score")
    limit = forms.FloatField(required=False, label="Limit")
    most_drop = forms.FloatField(required=False, min_value=0, label="Largest drop")
    lower_is_better = forms.BooleanField(
        required=False, label="Lower is better", widget=forms.CheckboxInput(attrs={"class": "form-check-input"})
    )

    def __init__(self, *args: Any, metrics: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["metric"].choices = [("", "None"), *metrics]


LimitFormSet = forms.formset_factory(LimitForm, extra=2, max_num=MOST_LIMITS, absolute_max=MOST_LIMITS)


def metric_choices(project: Project, limits: list[GateLimit]) -> list[tuple[str, str]]:
    recent = PredictionRun.objects.filter(project=project, set_version__isnull=False, is_current=True).order_by("-pk")
    own = {f"{CUSTOM}{name}" for totals in recent.values_list("totals", flat=True)[:50] for name in totals.get("scores", {})}
    own = {name for name in own if name.removeprefix(CUSTOM) not in SCORE_NAMES} | {limit.metric for limit in limits}
    names = [*METRICS, *sorted(own - METRICS.keys())]
    return [
        (name, f"{metric_of(name).label}{' (lower is better)' if metric_of(name).lower_is_better else ''}") for name in names
    ]


def limit_forms(project: Project, limits: list[GateLimit], posted: Any = None) -> Any:
    initial = [{name: getattr(limit, name) for name in LimitForm.base_fields} for limit in limits]
    return LimitFormSet(posted, initial=initial, prefix="limits", form_kwargs={"metrics": metric_choices(project, limits)})


def limits_of(forms_: Any) -> list[GateLimit]:
    """The lines that name a score."""
    return [GateLimit(**form.cleaned_data) for form in forms_ if form.cleaned_data.get("metric")]


class CheckForm(forms.Form):
    run = forms.IntegerField(min_value=1, max_value=2**63 - 1)
    baseline = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
