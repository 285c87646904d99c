"""Pages of datasets."""

from django.urls import path

from datasets.views import datasets, imports, media, uploads

app_name = "datasets"
urlpatterns = [
    path("projects/<slug:slug>/datasets/", datasets.dataset_list, name="list"),
    path("projects/<slug:slug>/datasets/new/", datasets.dataset_new, name="new"),
    path("datasets/<int:pk>/settings/", datasets.dataset_settings, name="settings"),
    path("datasets/<int:pk>/delete/", datasets.dataset_delete, name="delete"),
    path("datasets/<int:pk>/imports/", imports.imports, name="imports"),
    path("datasets/<int:pk>/import/", imports.import_new, name="import_new"),
    path("datasets/<int:pk>/import/folders/", imports.import_folders, name="import_folders"),
    path("imports/<int:pk>/", imports.import_detail, name="import_detail"),
    path("imports/<int:pk>/reexamine/", imports.import_reexamine, name="import_reexamine"),
    path("imports/<int:pk>/confirm/", imports.import_confirm, name="import_confirm"),
    path("imports/<int:pk>/cancel/", imports.import_cancel, name="import_cancel"),
    path("imports/<int:pk>/retry/", imports.import_retry, name="import_retry"),
    path("imports/<int:pk>/rejects/", imports.import_rejects, name="import_rejects"),
    path("uploads/", uploads.UploadsView.as_view(), name="uploads"),
    path("uploads/<uuid:pk>/", uploads.UploadView.as_view(), name="upload"),
    path("samples/<int:pk>/image/", media.image, name="image"),
    path("samples/<int:pk>/crop/", media.crop, name="crop"),
    path("samples/<int:pk>/thumb/<int:size>/", media.thumb, name="thumb"),
]
