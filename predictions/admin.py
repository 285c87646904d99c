"""Prediction runs in the admin. What they predicted is looked at here; runs go as wholes."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest

import predictions.set_versions_admin
import predictions.sets_admin  # noqa: F401 - registers the tables of sets
from datasets.admin import ImportAdmin, list_link
from datasets.large_tables import LargeTableAdmin, by_number, found_samples
from predictions.models import (
    Checkpoint,
    JobToken,
    PredictedObject,
    PredictionImport,
    PredictionRun,
    PredictionSetItem,
    TextPrediction,
    TrainingJob,
)
from predictions.runs import delete_run
from predictions.training import delete_job


@admin.register(PredictionRun)
class PredictionRunAdmin(admin.ModelAdmin):
    list_display = ["name", "dataset", "job", "split", "origin", "status", "predictions", "skipped_count", "created_at"]
    list_filter = ["status", "origin"]
    list_select_related = ["dataset", "job", "split"]
    search_fields = ["name", "dataset__name", "job__job_id"]
    fields = ["name", "project", "dataset", "job", "epoch", "step", "attempt", "is_current", "split", "origin", "status", "prediction_count", "skipped_count", "skipped", "created_by",
              "created_at"]  # fmt: skip
    readonly_fields = fields

    @admin.display(ordering="prediction_count")
    def predictions(self, run: PredictionRun) -> str:
        table = "predictions_textprediction" if run.job_id else "predictions_predictedobject"
        return list_link(table, f"{run.prediction_count:,}", run=run.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # runs come from imports

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What goes with them by their stored totals. Django would load every row of them to list it."""
        runs = list(objs)
        objects = sum(run.prediction_count for run in runs if run.dataset_id)
        answers = sum(run.prediction_count for run in runs if run.job_id)
        counts = {"prediction runs": len(runs), "predicted objects": objects, "answers": answers}
        counts = {name: count for name, count in counts.items() if count}
        denied = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return [str(run) for run in runs], counts, denied, []

    def delete_model(self, request: HttpRequest, obj: PredictionRun) -> None:
        delete_run(obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[PredictionRun]") -> None:
        for run in queryset:
            delete_run(run)


@admin.register(PredictedObject)
class PredictedObjectAdmin(LargeTableAdmin):
    list_display = ["__str__", "run", "sample", "category", "score", "x", "y", "width", "height"]
    list_select_related = ["run", "sample", "category"]
    # As the index of runs and samples has them: by `pk` alone, a late run would be searched for through all rows before it.
    ordering = ["run_id", "sample_id", "pk"]
    search_help_text = "A whole file name or external id of a sample, or the number of a predicted object."

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PredictedObject]":
        return super().get_queryset(request).defer("segmentation", "keypoints")

    def find(self, term: str) -> Q:
        return Q(sample__in=found_samples(term)) | by_number(term)


@admin.register(TextPrediction)
class TextPredictionAdmin(LargeTableAdmin):
    list_display = ["__str__", "run", "sample_index", "prediction_start", "exact_match", "char_error_rate", "passed"]
    list_select_related = ["run"]
    ordering = ["run_id", "sample_index"]
    search_help_text = "The number of an answer, or the whole key of an item."

    @admin.display(description="prediction")
    def prediction_start(self, text: TextPrediction) -> str:
        return text.prediction[:80]

    def find(self, term: str) -> Q:
        return Q(item__in=PredictionSetItem.objects.filter(key=term)) | by_number(term)


class JobTokenInline(admin.TabularInline):
    model = JobToken
    fields = readonly_fields = ["name", "hint", "created_by", "created_at", "last_used_at", "expires_at", "revoked_at"]
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a key is shown once, on the job's own page


class CheckpointInline(admin.TabularInline):
    model = Checkpoint
    fields = readonly_fields = ["path", "epoch", "step", "metrics", "created_at"]
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TrainingJob)
class TrainingJobAdmin(admin.ModelAdmin):
    list_display = [
        "name",
        "job_id",
        "project",
        "owner",
        "status",
        "epoch",
        "step",
        "firing_count",
        "missed_count",
        "last_seen_at",
    ]
    list_filter = ["status", "task_type"]
    list_select_related = ["project", "owner"]
    search_fields = ["name", "job_id", "project__name"]
    readonly_fields = ["project", "owner", "job_id", "attempt", "epoch", "step", "total_steps", "firing_count", "missed_count", "missed",
                       "overhead", "environment", "registered_sets", "started_at", "last_seen_at", "finished_at"]  # fmt: skip
    inlines = [JobTokenInline, CheckpointInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # jobs are made on their page, by the API or by a training

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """By stored totals. Django would load every answer to list it."""
        jobs = list(objs)
        totals = PredictionRun.objects.filter(job__in=jobs).aggregate(
            runs=Count("pk"), answers=Sum("prediction_count", default=0)
        )
        counts = {"training jobs": len(jobs), "prediction runs": totals["runs"], "answers": totals["answers"]}
        denied = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return [str(job) for job in jobs], counts, denied, []

    def delete_model(self, request: HttpRequest, obj: TrainingJob) -> None:
        delete_job(obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[TrainingJob]") -> None:
        for job in queryset:
            delete_job(job)


@admin.register(PredictionImport)
class PredictionImportAdmin(ImportAdmin):
    pass
