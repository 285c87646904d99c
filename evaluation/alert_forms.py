"""What people type about rules and channels. What fits together is checked on the models, as for the API."""

from typing import Any

from django import forms

from accounts.models import Project
from evaluation.measures import MEASURES, PASS_RATE
from evaluation.models import AlertChannel, AlertRule, AlertStatus
from predictions.models import PredictionRun, PredictionSet, TrainingJob
from predictions.scoring import SCORE_NAMES

MOST_CHOICES = 300


def runs_of(project: Project) -> "Any":
    """Runs that answer a set, newest first, without what is large."""
    runs = PredictionRun.objects.filter(project=project, set_version__isnull=False, is_current=True)
    return runs.select_related("set_version__prediction_set", "job").defer("totals", "generation_params").order_by("-pk")


def run_choices(project: Project, chosen: PredictionRun | None = None) -> list[tuple[str, str]]:
    runs = list(runs_of(project)[:MOST_CHOICES])
    if chosen is not None and chosen not in runs:
        runs.insert(0, chosen)
    return [("", "None"), *((str(run.pk), run_label(run)) for run in runs)]


def run_label(run: PredictionRun) -> str:
    where = f", epoch {run.epoch:g}, step {run.step}" if run.epoch is not None else ""
    return f"{run.job.name if run.job else run.name}{where} · {run.set_version}"


def score_choices(project: Project, chosen: str = "") -> list[tuple[str, str]]:
    """All scores, and those of the trainers' own in the newest runs of the project."""
    recent = PredictionRun.objects.filter(project=project, set_version__isnull=False, is_current=True).order_by("-pk")
    custom = sorted({name for totals in recent.values_list("totals", flat=True)[:50] for name in totals.get("scores", {})})
    named = [(name, measure.label) for name, measure in MEASURES.items()]
    own = [(f"custom:{name}", name) for name in custom if name not in SCORE_NAMES]
    known = {name for name, _ in [*named, *own]}
    return [*named, *own, *([(chosen, chosen.removeprefix("custom:"))] if chosen and chosen not in known else [])]


class RuleForm(forms.ModelForm):
    class Meta:
        model = AlertRule
        fields = ["name", "kind", "job", "prediction_set", "metric", "lower_is_better", "baseline", "threshold",
                  "debounce_minutes", "channels"]  # fmt: skip
        labels = {
            "kind": "Raise an alert when",
            "job": "Training job",
            "prediction_set": "or the jobs of a set",
            "metric": "Score",
            "lower_is_better": "Lower is better",
            "debounce_minutes": "Minutes between messages",
        }
        help_texts = {
            "threshold": "By how much a score may be worse, the least pass rate (0 to 1), or the minutes of silence.",
            "metric": "For the first two kinds. Which way is better is known of each.",
            "baseline": "For the first kind. It judges runs that answer the same version of the set.",
            "channels": "Where its messages go. Alerts are on the page in any case.",
        }
        widgets = {
            "channels": forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
            "lower_is_better": forms.CheckboxInput(attrs={"class": "form-check-input"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule = self.instance
        project = rule.project
        jobs, sets = TrainingJob.objects.filter(project=project), PredictionSet.objects.filter(project=project)
        fields: dict[str, Any] = self.fields
        fields["job"].queryset, fields["prediction_set"].queryset = jobs.only("name", "project"), sets
        fields["job"].empty_label, fields["prediction_set"].empty_label = "None", "None"
        fields["channels"].queryset = AlertChannel.objects.filter(project=project)
        fields["baseline"].queryset = runs_of(project)
        fields["baseline"].choices = run_choices(project, rule.baseline if rule.baseline_id else None)
        fields["metric"] = forms.ChoiceField(
            choices=score_choices(project, rule.metric),
            required=False,
            label="Score",
            initial=rule.metric if rule.metric not in ("", PASS_RATE) else "exact_match",
            help_text=fields["metric"].help_text,
        )


class ChannelForm(forms.ModelForm):
    class Meta:
        model = AlertChannel
        fields = ["name", "kind", "target"]
        labels = {"target": "Address"}
        help_texts = {"target": "Of a webhook: https://… For mail: up to 20 e-mail addresses with commas between them."}
        widgets = {"target": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})}


class AlertFilterForm(forms.Form):
    """Of the list, from the address."""

    status = forms.ChoiceField(
        choices=[("", "Not resolved"), *AlertStatus.choices, ("all", "All")], required=False, label="Status"
    )
    rule = forms.ModelChoiceField(AlertRule.objects.none(), required=False, empty_label="Every rule")
    job = forms.ModelChoiceField(TrainingJob.objects.none(), required=False, empty_label="Every job")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["rule"].queryset = AlertRule.objects.filter(project=project)
        fields["job"].queryset = TrainingJob.objects.filter(project=project)
