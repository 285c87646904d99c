"""Pages of training jobs."""

from django.urls import path

from predictions.views import training

app_name = "training"
urlpatterns = [
    path("training/<int:pk>/", training.job, name="job"),
]
