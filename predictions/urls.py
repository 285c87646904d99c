"""Pages of predictions: the images of a dataset with what is true and what models said."""

from django.urls import path

from predictions.views import browse, imports, runs, statistics

app_name = "predictions"
urlpatterns = [
    path("datasets/<int:pk>/", browse.images, name="images"),
    path("datasets/<int:pk>/facets/", browse.facets, name="facets"),
    path("datasets/<int:pk>/samples/<int:sample_pk>/", browse.sample, name="sample"),
    path("datasets/<int:pk>/statistics/", statistics.statistics, name="statistics"),
    path("datasets/<int:pk>/statistics/classes/", statistics.class_chart, name="class_chart"),
    path("datasets/<int:pk>/statistics/sizes/", statistics.size_chart, name="size_chart"),
    path("datasets/<int:pk>/runs/", runs.runs, name="runs"),
    path("runs/<int:pk>/delete/", runs.run_delete, name="run_delete"),
    path("datasets/<int:pk>/predictions/import/", imports.import_new, name="import_new"),
    path("datasets/<int:pk>/prediction-imports/", imports.imports, name="imports"),
    path("prediction-imports/<int:pk>/", imports.import_detail, name="import_detail"),
    path("prediction-imports/<int:pk>/reexamine/", imports.import_reexamine, name="import_reexamine"),
    path("prediction-imports/<int:pk>/confirm/", imports.import_confirm, name="import_confirm"),
    path("prediction-imports/<int:pk>/cancel/", imports.import_cancel, name="import_cancel"),
    path("prediction-imports/<int:pk>/retry/", imports.import_retry, name="import_retry"),
    path("prediction-imports/<int:pk>/rejects/", imports.import_rejects, name="import_rejects"),
]
