"""Pages of predictions: the images of a dataset with what is true and what models said."""

from django.urls import path

from predictions.views import browse, runs, statistics

app_name = "predictions"
urlpatterns = [
    path("datasets/<int:pk>/", browse.images, name="images"),
    path("datasets/<int:pk>/facets/", browse.total, name="facets"),
    path("datasets/<int:pk>/samples/<int:sample_pk>/", browse.sample, name="sample"),
    path("datasets/<int:pk>/statistics/", statistics.statistics, name="statistics"),
    path("datasets/<int:pk>/statistics/classes/", statistics.class_chart, name="class_chart"),
    path("datasets/<int:pk>/statistics/sizes/", statistics.size_chart, name="size_chart"),
    path("datasets/<int:pk>/runs/", runs.runs, name="runs"),
    path("runs/<int:pk>/delete/", runs.run_delete, name="run_delete"),
]
