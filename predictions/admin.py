"""Prediction runs in the admin. What they predicted is looked at here; runs go as wholes."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from datasets.admin import ImportAdmin, list_link
from datasets.large_tables import LargeTableAdmin, by_number, found_samples
from predictions.models import PredictedObject, PredictionImport, PredictionRun
from predictions.runs import delete_run


@admin.register(PredictionRun)
class PredictionRunAdmin(admin.ModelAdmin):
    list_display = ["name", "dataset", "split", "origin", "status", "predictions", "skipped_count", "created_at"]
    list_filter = ["status", "origin"]
    list_select_related = ["dataset", "split"]
    search_fields = ["name", "dataset__name"]
    fields = ["name", "dataset", "split", "origin", "status", "prediction_count", "skipped_count", "skipped", "created_by",
              "created_at"]  # fmt: skip
    readonly_fields = fields

    @admin.display(ordering="prediction_count")
    def predictions(self, run: PredictionRun) -> str:
        return list_link("predictions_predictedobject", f"{run.prediction_count:,}", run=run.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # runs come from imports

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What goes with them by their stored totals. Django would load every row of them to list it."""
        runs = list(objs)
        counts = {"prediction runs": len(runs), "predicted objects": sum(run.prediction_count for run in runs)}
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


@admin.register(PredictionImport)
class PredictionImportAdmin(ImportAdmin):
    pass
