"""What every template needs: icons, the project the page belongs to, what its user may do there, numbers in words."""

from typing import Any

from django import forms, template
from django.forms.boundfield import BoundField
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.access import RANK
from accounts.last_project import remembered_slug
from accounts.models import Project, Role

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86_400


@register.simple_tag
def icon(name: str, css_class: str = "") -> SafeString:
    """A symbol of the sprite static/img/icons.svg. Decoration only: the words stand beside it, or in an aria-label."""
    address = f"{static('img/icons.svg')}#{name}"
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}"></use></svg>', css_class, address
    )


@register.simple_tag(takes_context=True)
def current_project(context: template.Context) -> Project | None:
    """The project this page belongs to: its own or its dataset's, else the last one looked at, else the first.

    It comes from the list of the user's projects, which the frame reads anyway, with the attribute `my_role`.
    """
    projects: list[Project] = list(context.get("frame_projects") or [])
    by_id = {project.pk: project for project in projects}
    if project := context.get("project"):
        return by_id.get(project.pk)
    if dataset := context.get("dataset"):
        return by_id.get(dataset.project_id)
    remembered = remembered_slug(context["request"])
    return next((project for project in projects if project.slug == remembered), projects[0] if projects else None)


@register.inclusion_tag("_field.html")
def field(bound: BoundField, label: str = "") -> dict[str, Any]:
    """Label, input, hint and errors of a form field, tied together for screen readers."""
    css_class = "form-select" if isinstance(bound.field.widget, forms.Select) else "form-control"
    return {"field": bound, "label": label or bound.label, "input": bound.as_widget(attrs={"class": css_class})}


@register.filter
def allows(project: Any, needed: str) -> bool:
    """Whether the role in a project of the frame's list suffices: {% if current|allows:"editor" %}."""
    role = getattr(project, "my_role", None)
    return role is not None and RANK[Role(role)] >= RANK[Role(needed)]


@register.filter
def seconds_in_words(seconds: float | None) -> str:
    """40 s, 3 min, 2 h 5 min: one glance, no false precision. Empty where unknown."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{max(1, whole)} s"
    if whole < HOUR:
        return f"{round(whole / MINUTE)} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


@register.filter
def initials(name: str) -> str:
    """Two letters for a badge."""
    words = [word for word in str(name).replace("_", " ").replace("-", " ").split() if word]
    letters = words[0][0] + words[1][0] if len(words) > 1 else str(name)[:2]
    return letters.upper()
