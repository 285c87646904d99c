"""Reading the items of a version: what fits a filter, and what there is to filter by."""

from typing import Any

from django.db.models import Count, F, Func, Q, QuerySet, TextField
from django.db.models.functions import Cast

from predictions.curation import runs_on
from predictions.models import PredictionSet, PredictionSetItem, PredictionSetVersion


def items_of(
    version: PredictionSetVersion, search: str = "", tag: str = "", validator: str = ""
) -> "QuerySet[PredictionSetItem]":
    """In the order of the set; `search` looks into key, question, references and notes, `validator` names a type."""
    items = PredictionSetItem.objects.filter(version=version).select_related("sample__dataset").order_by("sample_index", "pk")
    if tag:
        items = items.filter(tags__contains=[tag])
    if validator:
        items = items.filter(validators__contains=[{"type": validator}])
    if search:
        items = items.annotate(
            said=Cast("messages", TextField()), truths=Cast("references", TextField()), place=Cast("metadata", TextField())
        ).filter(
            Q(key__icontains=search)
            | Q(prompt__icontains=search)
            | Q(said__icontains=search)
            | Q(truths__icontains=search)
            | Q(notes__icontains=search)
            | Q(sample__isnull=False, place__icontains=search)
        )
    return items


def tag_counts(version: PredictionSetVersion) -> list[tuple[str, int]]:
    """Every tag with the number of its items, most first."""
    tags = version.items.order_by().annotate(tag=Func(F("tags"), function="unnest")).values("tag")
    return list(tags.annotate(items=Count("pk")).order_by("-items", "tag").values_list("tag", "items")[:200])


def validator_counts(version: PredictionSetVersion) -> list[tuple[str, int]]:
    """Every type of validator with the number of its occurrences, most first."""
    each = (
        version.items.order_by()
        .annotate(each=Func(F("validators"), function="jsonb_array_elements"))
        .values_list("each", flat=True)
    )
    counts: dict[str, int] = {}
    for validator in each:
        counts[validator.get("type", "")] = counts.get(validator.get("type", ""), 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def users_of(asked: PredictionSet) -> dict[int, list[dict[str, Any]]]:
    """By number of version the jobs that answered it, with the number of their runs and answers."""
    rows = (
        runs_on(asked)
        .filter(is_current=True)
        .values("set_version__number", "job__pk", "job__name")
        .annotate(runs=Count("pk"))
        .order_by("set_version__number", "job__name")
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["set_version__number"], []).append(
            {"pk": row["job__pk"], "name": row["job__name"], "runs": row["runs"]}
        )
    return found
