"""The one API router, the schema and the docs."""

from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from accounts.api import ProjectViewSet
from datasets.api import DatasetViewSet
from datasets.imports_api import DatasetImportsViewSet, DatasetImportViewSet
from evaluation import test_runs_api as tests
from evaluation.api import CompareView
from inference import jobs_api as inference
from inference.checkpoints_api import CheckpointViewSet
from predictions import training_api as training
from predictions.api import RunViewSet, SampleAnnotationsView, SampleViewSet
from predictions.imports_api import PredictionImportViewSet, PredictionsView

router = SimpleRouter()
router.register("projects", ProjectViewSet, basename="project")
router.register("datasets", DatasetViewSet, basename="dataset")
router.register(r"datasets/(?P<dataset_pk>\d+)/samples", SampleViewSet, basename="sample")
router.register(r"datasets/(?P<dataset_pk>\d+)/runs", RunViewSet, basename="run")
router.register(r"datasets/(?P<dataset_pk>\d+)/imports", DatasetImportsViewSet, basename="dataset-import")
router.register("imports", DatasetImportViewSet, basename="import")
router.register("prediction-imports", PredictionImportViewSet, basename="prediction-import")
router.register("inference/checkpoints", CheckpointViewSet, basename="checkpoint")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path(
        "datasets/<int:dataset_pk>/samples/<int:sample_pk>/annotations/",
        SampleAnnotationsView.as_view(),
        name="sample-annotations",
    ),
    path("datasets/<int:dataset_pk>/predictions/", PredictionsView.as_view(), name="prediction-create"),
    path("training/jobs/", training.JobListView.as_view(), name="training-jobs"),
    path("training/jobs/<str:job_id>/", training.JobView.as_view(), name="training-job"),
    path("training/jobs/<str:job_id>/start/", training.StartView.as_view(), name="training-start"),
    path("training/jobs/<str:job_id>/sets/", training.SetsView.as_view(), name="training-sets"),
    path("training/jobs/<str:job_id>/progress/", training.ProgressView.as_view(), name="training-progress"),
    path("training/jobs/<str:job_id>/checkpoints/", training.CheckpointsView.as_view(), name="training-checkpoints"),
    path("training/jobs/<str:job_id>/runs/", training.RunsView.as_view(), name="training-runs"),
    path("training/predictions/", training.PredictionsView.as_view(), name="training-predictions"),
    path("training/predictions/<str:job_id>/", training.PredictionListView.as_view(), name="training-answers"),
    path("training/predictions/<str:job_id>/epochs/", training.EpochsView.as_view(), name="training-epochs"),
    path("training/predictions/<str:job_id>/trends/", training.TrendsView.as_view(), name="training-trends"),
    path(
        "training/predictions/<str:job_id>/samples/<int:sample_index>/trend/",
        training.SampleTrendView.as_view(),
        name="training-sample-trend",
    ),
    path("compare/", CompareView.as_view(), name="compare"),
    path("inference/single/", inference.SingleView.as_view(), name="inference-single"),
    path("inference/batch/", inference.BatchView.as_view(), name="inference-batch"),
    path("inference/jobs/", inference.JobListView.as_view(), name="inference-jobs"),
    path("inference/jobs/<int:pk>/", inference.JobView.as_view(), name="inference-job"),
    path("inference/jobs/<int:pk>/results/", inference.ResultsView.as_view(), name="inference-results"),
    path("inference/jobs/<int:pk>/cancel/", inference.CancelView.as_view(), name="inference-cancel"),
    path("training/jobs/<str:job_id>/test-runs/", tests.JobTestRunsView.as_view(), name="training-test-runs"),
    path("inference/test-runs/", tests.TestRunListView.as_view(), name="test-runs"),
    path("inference/test-runs/<int:pk>/", tests.TestRunView.as_view(), name="test-run"),
    path("inference/test-runs/<int:pk>/cancel/", tests.CancelView.as_view(), name="test-run-cancel"),
    path("inference/test-runs/<int:pk>/retry/", tests.RetryView.as_view(), name="test-run-retry"),
    path("inference/test-runs/<int:pk>/images/", tests.ImagesView.as_view(), name="test-run-images"),
    path("inference/test-runs/<int:pk>/operating-point/", tests.OperatingPointView.as_view(), name="test-run-operating-point"),
    path("inference/test-runs/<int:pk>/confusion/", tests.ConfusionCellView.as_view(), name="test-run-confusion"),
    path("inference/test-runs/<int:pk>/objects/", tests.ObjectsView.as_view(), name="test-run-objects"),
    path("inference/test-runs/<int:pk>/reconciliation/", tests.ReconciliationView.as_view(), name="test-run-reconciliation"),
    path("inference/test-runs/<int:pk>/thresholds/", tests.ThresholdsView.as_view(), name="test-run-thresholds"),
    path("inference/test-runs/<int:pk>/export/", tests.ExportView.as_view(), name="test-run-export"),
    path("test-runs/compare/", tests.CompareTestsView.as_view(), name="compare-test-runs"),
    path("test-runs/compare/objects/", tests.ChangedObjectsView.as_view(), name="compare-test-objects"),
    path("schema/", login_not_required(SpectacularAPIView.as_view()), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
]
