"""Datasets in the admin. Samples and annotations are looked at here and changed by imports alone."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from datasets.deleting import DatasetBusy, delete_dataset
from datasets.large_tables import LargeTableAdmin, ReadOnlyAdmin, by_number, found_samples
from datasets.models import Annotation, Category, Dataset, DatasetImport, Sample, Split, Upload


def list_link(viewname: str, text: str, **conditions: Any) -> str:
    """A link to an admin list under these conditions."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{viewname}_changelist", query=conditions), text)


class SplitInline(admin.TabularInline):
    model = Split
    fields = readonly_fields = ["name", "sample_count", "annotation_count", "imported_at"]
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):
    list_display = ["name", "project", "task_type", "samples", "annotation_count", "prediction_count", "updated_at"]
    list_filter = ["task_type"]
    list_select_related = ["project"]
    search_fields = ["name", "slug", "project__name"]
    fields = ["name", "description", "project", "slug", "task_type", "sample_count", "annotation_count", "prediction_count",
              "created_by", "created_at", "updated_at"]  # fmt: skip
    readonly_fields = fields[2:]
    inlines = [SplitInline]

    @admin.display(ordering="sample_count")
    def samples(self, dataset: Dataset) -> str:
        return list_link("datasets_sample", f"{dataset.sample_count:,}", dataset=dataset.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # datasets are made on the pages, where their slug is found

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What goes with them by their stored totals. Django would load every row of them to list it."""
        datasets = list(objs)
        counts = {
            "datasets": len(datasets),
            "samples": sum(dataset.sample_count for dataset in datasets),
            "annotations": sum(dataset.annotation_count for dataset in datasets),
            "predicted objects": sum(dataset.prediction_count for dataset in datasets),
        }
        denied = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return [str(dataset) for dataset in datasets], counts, denied, []

    def delete_model(self, request: HttpRequest, obj: Dataset) -> None:
        delete_dataset(obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Dataset]") -> None:
        for dataset in queryset:
            delete_dataset(dataset)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except DatasetBusy as refusal:
            return self._refused(request, refusal)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            return super().changelist_view(request, extra_context)
        except DatasetBusy as refusal:
            return self._refused(request, refusal)

    def _refused(self, request: HttpRequest, refusal: DatasetBusy) -> HttpResponse:
        self.message_user(request, str(refusal), messages.ERROR)
        return redirect("admin:datasets_dataset_changelist")


@admin.register(Split)
class SplitAdmin(ReadOnlyAdmin):
    list_display = ["name", "dataset", "samples", "annotation_count", "imported_at"]
    list_select_related = ["dataset"]
    search_fields = ["name", "dataset__name"]

    @admin.display(ordering="sample_count")
    def samples(self, split: Split) -> str:
        return list_link("datasets_sample", f"{split.sample_count:,}", split=split.pk)


@admin.register(Category)
class CategoryAdmin(ReadOnlyAdmin):
    list_display = ["name", "external_id", "supercategory", "dataset", "position"]
    list_select_related = ["dataset"]
    search_fields = ["name", "external_id", "dataset__name"]
    ordering = ["dataset", "position", "pk"]


@admin.register(Sample)
class SampleAdmin(LargeTableAdmin):
    list_display = ["file_name", "external_id", "dataset", "split", "width", "height", "annotations"]
    list_select_related = ["dataset", "split"]
    search_help_text = "A whole file name, a whole external id, or a number of the first column's address."

    def find(self, term: str) -> Q:
        return Q(pk__in=found_samples(term)) | by_number(term)

    @admin.display(description="annotations")
    def annotations(self, sample: Sample) -> str:
        return list_link("datasets_annotation", f"{sample.annotation_count:,}", sample=sample.pk)


@admin.register(Annotation)
class AnnotationAdmin(LargeTableAdmin):
    list_display = ["__str__", "sample", "category", "x", "y", "width", "height", "area", "is_crowd"]
    list_select_related = ["sample", "category"]
    ordering = ["sample_id", "pk"]
    search_help_text = "A whole file name or external id of a sample, or the number of an annotation."

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Annotation]":
        # The list shows no masks, and some have thousands of points; the page of one annotation reads its own.
        return super().get_queryset(request).defer("segmentation", "keypoints")

    def find(self, term: str) -> Q:
        return Q(sample__in=found_samples(term)) | by_number(term)


class ImportAdmin(ReadOnlyAdmin):
    """Imports of either kind: the rows tell how they went; starting and ending them is for the pages."""

    list_display = ["__str__", "dataset", "status", "read_count", "stored_count", "rejected_count", "created_by", "created_at"]
    list_filter = ["status", "dry_run"]
    list_select_related = ["dataset", "created_by"]
    search_fields = ["source_name", "dataset__name", "created_by__username"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).defer("report")


@admin.register(DatasetImport)
class DatasetImportAdmin(ImportAdmin):
    pass


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["file_name", "project", "owner", "received", "size", "created_at", "touched_at"]
    list_select_related = ["project", "owner"]
    search_fields = ["file_name", "project__name", "owner__username"]
    ordering = ["-created_at"]
