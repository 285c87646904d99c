"""Texts, scores and outcomes as the pages of training jobs show them."""

import json
from typing import Any

from django import template
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts.templatetags.frame import icon
from predictions.diffs import Piece, word_diff
from predictions.models import TextPrediction
from predictions.scoring import DEFINITIONS

register = template.Library()

FOLDED_AT = 280


@register.filter
def words(text: str) -> list[str]:
    return text.split()


@register.filter
def at(mapping: dict[str, Any], key: str) -> Any:
    return mapping.get(key, "")


@register.filter
def every(query: QueryDict, name: str) -> list[str]:
    """All values of a name in the address."""
    return query.getlist(name)


@register.filter
def magnitude(number: float) -> float:
    return abs(number)


@register.simple_tag
def long_text(text: str, key: str, part: str) -> SafeString:
    """A text in reading type, folded where it is long. Key and part name it, so that an open one stays open over a refresh."""
    if not text:
        return mark_safe('<span class="text-secondary">(empty)</span>')
    if len(text) <= FOLDED_AT:  # most are, and there are hundreds on a page: no template for them
        return format_html('<span class="said">{}</span>', text)
    folded = {"text": text, "start": text[:FOLDED_AT], "length": len(text), "name": f"{part}-{key}"}
    return mark_safe(render_to_string("training/_text.html", folded))  # noqa: S308 - a template, which escapes


@register.inclusion_tag("training/_diff.html")
def text_diff(old: str, new: str) -> dict[str, list[Piece]]:
    return {"pieces": word_diff(old, new)}


@register.simple_tag
def outcome_mark(solved: bool | None) -> SafeString:
    """Right, wrong or unknown: a mark and a colour, never the colour alone."""
    if solved is None:
        return format_html(
            '<span class="mark" data-outcome="none"><span class="visually-hidden">not known</span>{}</span>', icon("minus")
        )
    name, sign, label = ("right", "check", "right") if solved else ("wrong", "x", "wrong")
    return format_html(
        '<span class="mark" data-outcome="{}"><span class="visually-hidden">{}</span>{}</span>', name, label, icon(sign)
    )


@register.filter
def check_name(check: dict[str, Any]) -> str:
    """A validator as people read it: "not contains"."""
    name = str(check.get("type", "")).replace("_", " ")
    return f"not {name}" if check.get("not") else name


@register.filter
def check_value(check: dict[str, Any]) -> str:
    value = check.get("value")
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


@register.filter
def check_passed(check: dict[str, Any]) -> bool | None:
    return {"pass": True, "fail": False}.get(str(check.get("outcome")))


@register.simple_tag
def failed_checks(validations: list[dict[str, Any]] | None) -> SafeString:
    """The validators that failed or could not be run, and why, in a line each; hundreds stand on a page."""
    return format_html_join(
        "",
        '<div class="row-note"><b>{}</b> {}{}</div>',
        (
            (check_name(check), "could not run: " if check["outcome"] == "error" else "", check.get("message", ""))
            for check in validations or []
            if check["outcome"] != "pass"
        ),
    )


@register.simple_tag
def score(row: TextPrediction, name: str) -> SafeString:
    """A score with its decimals; an exact match as a mark; without a reference, the word for it."""
    value = getattr(row, name)
    if value is None:
        return format_html(
            '<span class="text-secondary" title="There is no reference to hold it against">{}</span>', "not defined"
        )
    if name in ("exact_match", "exact_match_norm"):
        return outcome_mark(value == 1.0)
    return format_html("{}", f"{value:.{DEFINITIONS[name].decimals}f}")


@register.inclusion_tag("training/_sort_heading.html", takes_context=True)
def sort_heading(context: template.Context, name: str, label: str, sort: str, meaning: str = "") -> dict[str, Any]:
    """A column heading that sorts: worst first at the first click, turned round at the second."""
    first = (
        name if name in ("sample_index", "exact_match", "exact_match_norm", "word_overlap", "token_f1", "chrf") else f"-{name}"
    )
    turned = first.lstrip("-") if first.startswith("-") else f"-{first}"
    following = turned if sort == first else first
    direction = {name: "ascending", f"-{name}": "descending"}.get(sort, "")
    return {"request": context["request"], "label": label, "following": following, "direction": direction, "meaning": meaning}
