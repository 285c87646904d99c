"""Values, intervals, differences and p-values as the pages of comparisons show them."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.templatetags.frame import icon
from evaluation.comparison import Judgement, p_in_words
from evaluation.scores import Metric
from evaluation.statistics import EQUAL_WITHIN, Interval
from predictions.models import PredictionRun
from predictions.templatetags.training import outcome_mark

register = template.Library()

NOT_DEFINED = mark_safe('<span class="text-secondary" title="No shared item has this score in both runs">not defined</span>')


@register.simple_tag
def measured(value: float | None, metric: Metric) -> SafeString:
    """A value with its metric's decimals."""
    return NOT_DEFINED if value is None else format_html("{}", f"{value:.{metric.decimals}f}")


@register.simple_tag
def outcome(value: float | None, metric: Metric) -> SafeString:
    """One item's value: a mark where it has it or not, else the number."""
    if metric.is_binary:
        return outcome_mark(None if value is None else value == 1.0)
    return measured(value, metric)


@register.simple_tag
def spread(interval: Interval | None, metric: Metric) -> str:
    """A 95 % interval; empty where there is none."""
    return " to ".join(f"{value:.{metric.decimals}f}".replace("-", "−") for value in interval) if interval else ""


@register.simple_tag
def change(value: float | None, metric: Metric) -> SafeString:
    """A signed difference with its arrow, in the colour of better or worse; grey where nothing differs."""
    if value is None:
        return NOT_DEFINED
    if abs(value) <= EQUAL_WITHIN:
        return format_html('<span class="text-secondary">{}</span>', f"{0:.{metric.decimals}f}")
    tone = "is-better" if (value < 0) == metric.lower_is_better else "is-worse"
    arrow, words = icon("arrow-up" if value > 0 else "arrow-down"), "better" if tone == "is-better" else "worse"
    number = f"{value:+.{metric.decimals}f}".replace("-", "−")
    return format_html('<span class="{}">{}{}<span class="visually-hidden"> {}</span></span>', tone, arrow, number, words)


@register.filter
def p_words(p_value: float | None) -> str:
    return "" if p_value is None else p_in_words(p_value).removeprefix("p = ").replace("p < ", "< ")


@register.simple_tag
def decision_mark(judgement: Judgement) -> SafeString:
    """What the statistics say once adjusted, as a word with a mark."""
    words = {"better": ("check", "better"), "worse": ("x", "worse"), "undecided": ("minus", "not decisive")}
    sign, word = words[judgement.decision_adjusted]
    return format_html('<span class="decision" data-decision="{}">{} {}</span>', judgement.decision_adjusted, icon(sign), word)


@register.filter
def place_of(run: PredictionRun) -> str:
    """Where a run comes from, in a few words: "step 96, attempt 1", or its dataset and split."""
    if run.dataset is None:
        superseded = "" if run.is_current else ", superseded"
        return f"step {run.step or 0:,}, attempt {run.attempt}{superseded}"
    return f"{run.dataset.name}{f', {run.split.name}' if run.split else ''}"


@register.filter
def title_of(run: PredictionRun) -> str:
    """What to call it: its job and epoch, or the name it was imported under."""
    return f"{run.job.name}, epoch {run.epoch or 0:g}" if run.job else run.name


@register.filter
def heading_of(run: PredictionRun, runs: list[PredictionRun]) -> str:
    """As short as it can be told apart: the epoch among runs of one job."""
    if run.job and all(other.job_id == run.job_id for other in runs):
        return f"{run.epoch or 0:g}"
    return title_of(run)
