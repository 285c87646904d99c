"""The admin of tables with millions of rows: looked at through an index, counted by estimate, never changed by hand."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection, models
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from datasets.models import Dataset, Sample, Split

# So many rows can be paged through; what lies behind them is found by a filter or a search.
REACH = 10_000


class ReachPaginator(Paginator):
    """Counts up to REACH: a whole count reads the whole table, and far pages read all rows before them."""

    @cached_property
    def count(self) -> int:
        rows: models.QuerySet[Any] = self.object_list
        return rows.order_by()[:REACH].count()


def estimated_rows(table: type[models.Model]) -> int:
    """How many rows the planner believes the table to have; no row is read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", [table._meta.db_table])
        return int(cursor.fetchone()[0])


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only operations may make, change and delete: they keep stored totals true, a form would not."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LargeTableAdmin(ReadOnlyAdmin):
    """Order by an index, sort by nothing else, search by exact terms only (`find`)."""

    paginator = ReachPaginator
    show_full_result_count = False
    sortable_by = ()
    search_fields = ["pk"]  # shows the search box; what it does stands in `find`

    def find(self, term: str) -> models.Q:
        """The rows meant by a search term. Every condition must be answered by an index."""
        raise NotImplementedError

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(self.find(term)) if term else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        rows = f"About {estimated_rows(self.model):,} {self.opts.verbose_name_plural}"
        title = f"{rows}; the first {REACH:,} of a selection can be paged through"
        return super().changelist_view(request, {"title": title, **(extra_context or {})})


def by_number(term: str) -> models.Q:
    """The row of this primary key, where the term is a number that can be one."""
    return models.Q(pk=int(term)) if term.isdecimal() and len(term) <= 18 else models.Q(pk__in=[])


def found_samples(term: str) -> list[int]:
    """Keys of samples of exactly this file name or external id, by the indexes that begin with dataset and split."""
    datasets, splits = list(Dataset.objects.values_list("pk", flat=True)), list(Split.objects.values_list("pk", flat=True))
    named = Sample.objects.filter(dataset__in=datasets, file_name=term).order_by().values_list("pk", flat=True)
    known = Sample.objects.filter(split__in=splits, external_id=term).order_by().values_list("pk", flat=True)
    return [*named[:REACH], *known[:REACH]]
