"""Pages of test runs."""

from django.urls import path

from evaluation.views import test_against, test_charts, test_crops, test_new, test_report, test_runs

app_name = "tests"
urlpatterns = [
    path("projects/<slug:slug>/tests/", test_runs.test_runs, name="list"),
    path("projects/<slug:slug>/tests/new/", test_new.new, name="new"),
    path("projects/<slug:slug>/tests/against/", test_against.against, name="against"),
    path("datasets/<int:pk>/runs/figures/", test_runs.figures_of_runs, name="figures_of_runs"),
    path("training/<int:pk>/tests/", test_against.of_training, name="of_training"),
    path("training/<int:pk>/tests/trend/", test_charts.trend, name="trend"),
    path("tests/<int:pk>/", test_runs.overview, name="run"),
    path("tests/<int:pk>/classes/", test_runs.classes, name="classes"),
    path("tests/<int:pk>/curves/", test_runs.curves, name="curves"),
    path("tests/<int:pk>/confusion/", test_runs.confusion, name="confusion"),
    path("tests/<int:pk>/errors/", test_runs.errors, name="errors"),
    path("tests/<int:pk>/objects/", test_runs.objects, name="objects"),
    path("tests/<int:pk>/images/", test_runs.images, name="images"),
    path("tests/<int:pk>/slices/", test_runs.slices, name="slices"),
    path("tests/<int:pk>/protocol/", test_runs.protocol, name="protocol"),
    path("tests/<int:pk>/reconciliation/", test_runs.reconciliation, name="reconciliation"),
    path("tests/<int:pk>/progress/", test_runs.progress, name="progress"),
    path("tests/<int:pk>/cancel/", test_runs.cancel, name="cancel"),
    path("tests/<int:pk>/retry/", test_runs.retry, name="retry"),
    path("tests/<int:pk>/delete/", test_runs.delete, name="delete"),
    path("tests/<int:pk>/charts/precision-recall/", test_charts.precision_recall, name="precision_recall"),
    path("tests/<int:pk>/charts/confidence/", test_charts.confidence, name="confidence"),
    path("tests/<int:pk>/charts/reliability/", test_charts.reliability, name="reliability"),
    path("tests/<int:pk>/report/", test_report.report, name="report"),
    path("crops/truth/<int:pk>/", test_crops.truth_crop, name="truth_crop"),
    path("crops/predicted/<int:pk>/", test_crops.predicted_crop, name="predicted_crop"),
]
