"""Figures of test runs as their pages show them: never a number where nothing is defined."""

from pathlib import Path
from typing import Any

from django import template
from django.contrib.staticfiles import finders
from django.forms.boundfield import BoundField
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.templatetags.frame import icon
from evaluation.galleries import Crop
from evaluation.models import TestRun
from evaluation.operating_points import Cell, Point, Row
from evaluation.statistics import EQUAL_WITHIN
from evaluation.test_against import Side
from evaluation.test_figures import FIGURES, Figure, Told, told
from evaluation.test_protocol import PROTOCOL_NAMES

register = template.Library()

DECISIONS = {
    "better": ("check", "better"),
    "worse": ("x", "worse"),
    "undecided": ("minus", "not decisive"),
    "same": ("minus", "the same"),
}


EMPTY = mark_safe("")
NOT_TAKEN = mark_safe('<span class="text-secondary" title="Not taken of this slice">–</span>')


def _not_defined(reason: str) -> SafeString:
    return format_html('<span class="not-defined" title="{}">not defined</span>', reason)


@register.simple_tag
def share(value: Any, reason: str) -> SafeString:
    """A share with three decimals; without a value (templates know a missing one as empty text) the reason on hover."""
    return format_html("{}", f"{value:.3f}") if isinstance(value, float | int) else _not_defined(reason)


@register.simple_tag
def figure_value(one: Told) -> SafeString:
    return _not_defined(one.reason) if one.value is None else format_html("{}", f"{one.value:.{one.figure.decimals}f}")


@register.simple_tag
def figure_of(test_run: TestRun, name: str) -> SafeString:
    return figure_value(told(test_run, name))


@register.simple_tag
def primary(test_run: TestRun) -> SafeString:
    """The figure that a test run is known by, with its name."""
    name = test_run.primary_metric_name
    if name not in FIGURES:
        return EMPTY
    return format_html('{} <span class="text-secondary">{}</span>', figure_of(test_run, name), FIGURES[name].label)


@register.simple_tag
def interval(span: Any, figure: Figure) -> str:
    """A 95 % interval; empty where there is none."""
    return " to ".join(f"{value:.{figure.decimals}f}".replace("-", "−") for value in span) if span else ""


@register.simple_tag
def side_value(side: Side, which: str, test_run: TestRun) -> SafeString:
    value = getattr(side, which)
    return (
        figure_value(told(test_run, side.figure.name))
        if value is None
        else format_html("{}", f"{value:.{side.figure.decimals}f}")
    )


@register.simple_tag
def side_change(side: Side) -> SafeString:
    """B minus A, with its arrow, in the colour of better or worse."""
    if side.difference is None:
        return _not_defined("It is not defined in both")
    return _change(side.difference, side.figure.lower_is_better, side.figure.decimals)


@register.simple_tag
def side_decision(side: Side) -> SafeString:
    """What the interval says, as a word with a mark; nothing where there is no interval."""
    if side.interval is None and side.decision != "same":
        return EMPTY
    sign, word = DECISIONS[side.decision]
    return format_html('<span class="decision" data-decision="{}">{} {}</span>', side.decision, icon(sign), word)


@register.simple_tag
def step_change(change: float) -> SafeString:
    """How far a rule moves a figure: neither good nor bad."""
    return format_html("{}", f"{change:+.4f}".replace("-", "−") if abs(change) > EQUAL_WITHIN else "0.0000")


@register.simple_tag
def slice_delta(one: dict[str, Any]) -> SafeString:
    """How far a slice lies from all images."""
    return EMPTY if one["delta"] is None else _change(one["delta"], False, 3)


@register.simple_tag
def slice_name(one: dict[str, Any], test_run: TestRun) -> SafeString:
    """A class leads to its images."""
    if one["group"] != "class" or one["name"] not in test_run.class_names:
        return format_html('<span class="row-name">{}</span>', one["name"])
    address = f"{reverse('tests:images', args=[test_run.pk])}?true={test_run.class_names.index(one['name'])}"
    return format_html('<a class="row-name" href="{}">{}</a>', address, one["name"])


@register.simple_tag
def counted(value: Any) -> SafeString:
    """A count; a dash where it was not counted."""
    return format_html("{}", f"{value:,}") if isinstance(value, int) else NOT_TAKEN


@register.simple_tag
def measured(value: Any, reason: str) -> SafeString:
    """As `share`; a dash where the figure was not taken of this row at all."""
    return NOT_TAKEN if value == "" else share(value, reason)


def _change(value: float, lower_is_better: bool, decimals: int) -> SafeString:
    if abs(value) <= EQUAL_WITHIN:
        return format_html('<span class="text-secondary">{}</span>', f"{0:.{decimals}f}")
    tone = "is-better" if (value < 0) == lower_is_better else "is-worse"
    sign, word = icon("arrow-up" if value > 0 else "arrow-down"), "better" if tone == "is-better" else "worse"
    number = f"{value:+.{decimals}f}".replace("-", "−")
    return format_html('<span class="{}">{}{}<span class="visually-hidden"> {}</span></span>', tone, sign, number, word)


@register.simple_tag
def at(point: Point | None) -> str:
    """The query that keeps the operating point on the way to another tab."""
    return f"?confidence={plain(point.confidence)}" if isinstance(point, Point) else ""


@register.simple_tag
def crop_url(crop: Crop) -> str:
    """Its picture: the part around the object, or of a classifier the whole image. Kept by browsers until the image changes."""
    if crop.window is None:
        return f"{reverse('datasets:thumb', args=[crop.sample.pk, 320])}?v={crop.sample.image_version}"
    address = reverse(f"tests:{crop.kind}_crop", args=[crop.key])
    return f"{address}?v={crop.sample.image_version}"


@register.simple_tag
def inlined_style(name: str) -> SafeString:
    """A stylesheet of ours within the page: for pages that are kept, where there is no server to ask."""
    path = finders.find(name)
    assert path is not None
    return mark_safe(f"<style>\n{Path(path).read_text()}</style>")  # noqa: S308 - our own file


@register.simple_tag
def heat_cells(row: Row, objects_url: str, confidence: str) -> SafeString:
    """A row of the confusion matrix. Not in the template: eighty classes have thousands of cells, and each costs it half a millisecond."""
    return mark_safe("".join(_heat_cell(row, cell, objects_url, confidence) for cell in row.cells))  # noqa: S308 - escaped below


def _heat_cell(row: Row, cell: Cell, objects_url: str, confidence: str) -> str:
    if not cell.count:
        return "<td></td>"
    words = escape(f"{row.name} as {cell.column}: {cell.count:,}, {percent(cell.share)} of the row")
    address = f"{objects_url}?true={row.true}&amp;predicted={cell.predicted}&amp;confidence={confidence}"
    mark = " data-diagonal" if cell.is_diagonal else ""
    return f'<td><a class="heat" data-level="{cell.level}"{mark} href="{address}" title="{words}" aria-label="{words}">{cell.count:,}</a></td>'


@register.filter
def plain(value: float) -> str:
    """A number as addresses and inputs have it, with a point in every language."""
    return f"{value:.6g}"


@register.filter
def hundredfold(value: float) -> str:
    return f"{100 * value:.2f}"


@register.filter
def upper_first(words: str) -> str:
    """A sentence's beginning; capitals within stay."""
    return words[:1].upper() + words[1:]


@register.filter
def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


@register.filter
def figure_label(name: str) -> str:
    return FIGURES[name].label if name in FIGURES else name


@register.filter
def protocol_label(name: str) -> str:
    return PROTOCOL_NAMES.get(name, name)


@register.filter
def as_select(bound: BoundField) -> str:
    """A filter's choices, named for screen readers by its own first words."""
    return bound.as_widget(attrs={"class": "form-select w-auto", "aria-label": str(bound.label or bound.name)})
