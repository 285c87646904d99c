"""Test runs, comparisons, alerts and gates in the admin: looked at here, made and changed on their pages."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from datasets.admin import list_link
from datasets.large_tables import LargeTableAdmin, ReachPaginator, ReadOnlyAdmin, by_number, found_samples
from evaluation import test_runs
from evaluation.access import HEAVY
from evaluation.models import (
    Alert,
    AlertChannel,
    AlertRule,
    Comparison,
    Delivery,
    Gate,
    GateCheck,
    GateLimit,
    Outcome,
    TestImageResult,
    TestRun,
)


def count_of(rows: "QuerySet[Any]", field: str) -> Coalesce:
    """How many of them belong to a row of the list, by the index of their foreign key: only shown rows are counted."""
    mine = rows.filter(**{field: OuterRef("pk")}).order_by().values(field)
    return Coalesce(Subquery(mine.values_list(Count("pk"))), 0)


class LongListAdmin(ReadOnlyAdmin):
    """Rows that go on being added: never counted whole, newest first."""

    paginator = ReachPaginator
    show_full_result_count = False


# --- Test runs ---------------------------------------------------------------------------------------------------------
@admin.register(TestRun)
class TestRunAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "dataset", "split", "task_type", "status", "figure", "images", "created_by", "created_at"]
    list_filter = ["status", "task_type", "protocol_name"]
    list_select_related = ["dataset", "split", "created_by"]
    search_fields = ["name", "project__name", "dataset__name", "prediction_run__name", "training_job__job_id"]
    fields = ["name", "project", "dataset", "split", "set_version", "prediction_run", "checkpoint", "training_job", "task_type",
              "status", "error", "protocol", "metrics", "undefined", "warnings", "images", "correct_images", "inference_time_ms",
              "created_by", "created_at", "started_at", "finished_at"]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> "QuerySet[TestRun]":
        return super().get_queryset(request).defer(*HEAVY)

    @admin.display(ordering="primary_metric_value")
    def figure(self, test_run: TestRun) -> str:
        value = test_run.primary_metric_value
        return "not defined" if value is None else f"{test_run.primary_metric_name} {value:.4f}"

    @admin.display(ordering="total_images")
    def images(self, test_run: TestRun) -> str:
        return list_link("evaluation_testimageresult", f"{test_run.total_images:,}", test_run=test_run.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What goes with them by their stored totals. Django would load every image's outcome to list it."""
        rows = list(objs)
        counts = {"test runs": len(rows), "outcomes of images": sum(row.total_images for row in rows)}
        denied = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return [str(row) for row in rows], counts, denied, []

    def delete_model(self, request: HttpRequest, obj: TestRun) -> None:
        test_runs.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[TestRun]") -> None:
        for test_run in queryset:
            test_runs.delete(test_run)


@admin.register(TestImageResult)
class TestImageResultAdmin(LargeTableAdmin):
    list_display = ["__str__", "test_run", "sample", "is_correct", "confidence", "f1", "true_positives", "false_positives",
                    "false_negatives", "loss"]  # fmt: skip
    list_select_related = ["test_run", "sample"]
    # As the index has them: by `pk` alone, a late test run would be searched for through all rows before it.
    ordering = ["test_run_id", "is_correct", "pk"]
    search_help_text = "A whole file name or external id of a sample, or the number of an outcome."

    def get_queryset(self, request: HttpRequest) -> "QuerySet[TestImageResult]":
        return super().get_queryset(request).defer(*(f"test_run__{name}" for name in HEAVY))

    def find(self, term: str) -> Q:
        return Q(sample__in=found_samples(term)) | by_number(term)


@admin.register(Comparison)
class ComparisonAdmin(LongListAdmin):
    list_display = ["__str__", "baseline", "candidate", "confidence", "set_version", "status", "created_by", "created_at"]
    list_filter = ["status"]
    list_select_related = ["baseline", "candidate", "set_version__prediction_set", "created_by"]
    search_fields = ["baseline__name", "candidate__name", "created_by__username"]
    fields = ["baseline", "candidate", "confidence", "set_version", "state", "status", "error", "created_by", "created_at", "started_at",
              "finished_at"]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Comparison]":
        return super().get_queryset(request).defer("pairing", "report")


# --- Alerts ------------------------------------------------------------------------------------------------------------
@admin.register(AlertChannel)
class AlertChannelAdmin(ReadOnlyAdmin):
    """Without its target: whoever knows a webhook's address may write there."""

    list_display = ["name", "project", "kind", "rule_count", "created_by", "created_at"]
    list_filter = ["kind"]
    list_select_related = ["project", "created_by"]
    search_fields = ["name", "project__name"]
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AlertChannel]":
        return super().get_queryset(request).annotate(_rules=count_of(AlertRule.channels.through.objects.all(), "alertchannel"))

    @admin.display(ordering="_rules", description="rules")
    def rule_count(self, channel: Any) -> int:
        return int(channel._rules)


@admin.register(AlertRule)
class AlertRuleAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "watched", "in_words", "is_on", "open_alerts", "alert_count", "created_at"]
    list_filter = ["is_on", "kind"]
    list_select_related = ["project", "job", "prediction_set", "baseline"]
    search_fields = ["name", "project__name", "job__name", "job__job_id", "prediction_set__name"]
    fields = ["name", "project", "kind", "job", "prediction_set", "metric", "threshold", "baseline", "debounce_minutes", "is_on",
              "channels", "watches_from", "looked_at", "notified_at", "created_by", "created_at"]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AlertRule]":
        return (
            super()
            .get_queryset(request)
            .annotate(_open=count_of(Alert.objects.unresolved(), "rule"), _alerts=count_of(Alert.objects.all(), "rule"))
        )

    @admin.display(ordering="_open", description="open")
    def open_alerts(self, rule: Any) -> int:
        return int(rule._open)

    @admin.display(ordering="_alerts", description="alerts")
    def alert_count(self, rule: Any) -> str:
        return list_link("evaluation_alert", f"{rule._alerts:,}", rule=rule.pk)


@admin.register(Alert)
class AlertAdmin(LongListAdmin):
    list_display = ["message", "rule", "job", "run", "status", "opened_at", "acknowledged_by", "resolved_at"]
    list_filter = ["status"]
    list_select_related = ["rule", "job", "run", "acknowledged_by"]
    search_fields = ["message", "rule__name", "job__name", "job__job_id"]


@admin.register(Delivery)
class DeliveryAdmin(LongListAdmin):
    list_display = ["id", "channel", "rule", "event", "status", "attempts", "answer_start", "created_at", "finished_at"]
    list_filter = ["status", "event"]
    list_select_related = ["channel", "rule"]
    search_fields = ["channel__name", "rule__name", "answer"]

    @admin.display(description="answer")
    def answer_start(self, delivery: Delivery) -> str:
        return delivery.answer[:80]


# --- Gates -------------------------------------------------------------------------------------------------------------
class GateLimitInline(admin.TabularInline):
    model = GateLimit
    fields = readonly_fields = ["metric", "limit", "most_drop", "lower_is_better"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Gate)
class GateAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "is_for", "against", "limit_count", "checks", "failed_count", "created_by", "created_at"]
    list_filter = ["against"]
    list_select_related = ["project", "job", "prediction_set", "created_by"]
    search_fields = ["name", "project__name", "job__name", "job__job_id", "prediction_set__name"]
    inlines = [GateLimitInline]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Gate]":
        checks = GateCheck.objects.all()
        return (
            super()
            .get_queryset(request)
            .annotate(
                _limits=count_of(GateLimit.objects.all(), "gate"),
                _checks=count_of(checks, "gate"),
                _failed=count_of(checks.filter(outcome=Outcome.FAIL), "gate"),
            )
        )

    @admin.display(ordering="_limits", description="limits")
    def limit_count(self, gate: Any) -> int:
        return int(gate._limits)

    @admin.display(ordering="_checks")
    def checks(self, gate: Any) -> str:
        return list_link("evaluation_gatecheck", f"{gate._checks:,}", gate=gate.pk)

    @admin.display(ordering="_failed", description="failed")
    def failed_count(self, gate: Any) -> int:
        return int(gate._failed)


@admin.register(GateCheck)
class GateCheckAdmin(LongListAdmin):
    list_display = ["__str__", "gate", "run_name", "baseline_name", "outcome", "created_by", "created_at"]
    list_filter = ["outcome"]
    list_select_related = ["gate", "created_by"]
    search_fields = ["gate__name", "run_name", "created_by__username"]
