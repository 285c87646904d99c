"""Pages of comparisons."""

from django.urls import path

from evaluation.views import compare, items, matrix

app_name = "compare"
urlpatterns = [
    path("projects/<slug:slug>/compare/", compare.compare, name="compare"),
    path("projects/<slug:slug>/compare/runs/", compare.picker, name="picker"),
    path("projects/<slug:slug>/compare/matrix/", matrix.matrix, name="matrix"),
    path("comparisons/<int:pk>/", compare.progress, name="progress"),
    path("comparisons/<int:pk>/retry/", compare.retry, name="retry"),
    path("runs/<int:pk>/worst/", items.worst_items, name="worst"),
    path("training/<int:pk>/unsteady/", items.unsteady, name="unsteady"),
]
