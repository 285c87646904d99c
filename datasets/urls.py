"""Pages of datasets."""

from django.urls import path

from datasets.views import datasets

app_name = "datasets"
urlpatterns = [
    path("projects/<slug:slug>/datasets/", datasets.dataset_list, name="list"),
    path("projects/<slug:slug>/datasets/new/", datasets.dataset_new, name="new"),
    path("datasets/<int:pk>/settings/", datasets.dataset_settings, name="settings"),
    path("datasets/<int:pk>/delete/", datasets.dataset_delete, name="delete"),
]
