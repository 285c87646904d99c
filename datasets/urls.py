"""Pages of datasets."""

from django.urls import path

from datasets.views import datasets, media, uploads

app_name = "datasets"
urlpatterns = [
    path("projects/<slug:slug>/datasets/", datasets.dataset_list, name="list"),
    path("projects/<slug:slug>/datasets/new/", datasets.dataset_new, name="new"),
    path("datasets/<int:pk>/settings/", datasets.dataset_settings, name="settings"),
    path("datasets/<int:pk>/delete/", datasets.dataset_delete, name="delete"),
    path("uploads/", uploads.UploadsView.as_view(), name="uploads"),
    path("uploads/<uuid:pk>/", uploads.UploadView.as_view(), name="upload"),
    path("samples/<int:pk>/image/", media.image, name="image"),
    path("samples/<int:pk>/thumb/<int:size>/", media.thumb, name="thumb"),
]
