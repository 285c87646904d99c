"""Pages of training jobs."""

from django.urls import path

from predictions.views.training import charts, items, jobs, predictions, setup

app_name = "training"
urlpatterns = [
    path("projects/<slug:slug>/training/", jobs.job_list, name="list"),
    path("projects/<slug:slug>/training/new/", jobs.job_new, name="new"),
    path("projects/<slug:slug>/training/cost/", jobs.cost_preview, name="cost"),
    path("training/<int:pk>/", predictions.job, name="job"),
    path("training/<int:pk>/live/", jobs.live, name="live"),
    path("training/<int:pk>/chart/", charts.trend_chart, name="chart"),
    path("training/<int:pk>/trends.csv", charts.trends_csv, name="trends_csv"),
    path("training/<int:pk>/changes/", predictions.changes, name="changes"),
    path("training/<int:pk>/items/", items.items, name="items"),
    path("training/<int:pk>/items/<str:key>/", items.item, name="item"),
    path("training/<int:pk>/items/<str:key>/chart/", charts.item_chart, name="item_chart"),
    path("training/<int:pk>/runs/", predictions.runs, name="runs"),
    path("training/<int:pk>/setup/", setup.setup, name="setup"),
    path("training/<int:pk>/tokens/<int:token_pk>/revoke/", setup.token_revoke, name="token_revoke"),
    path("training/<int:pk>/config/", jobs.config, name="config"),
    path("training/<int:pk>/end/", jobs.job_end, name="end"),
    path("training/<int:pk>/delete/", jobs.job_delete, name="delete"),
]
