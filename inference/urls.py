"""Pages of inference: trying one image, batches, datasets, and the history of jobs."""

from django.urls import include, path

from inference.views import downloads, job_pages, pictures, starting, try_it

app_name = "inference"
urlpatterns = [
    path("", include("inference.checkpoint_urls")),
    path("projects/<slug:slug>/inference/", try_it.try_it, name="try"),
    path("projects/<slug:slug>/inference/batch/", starting.batch_new, name="batch_new"),
    path("projects/<slug:slug>/inference/dataset/", starting.dataset_new, name="dataset_new"),
    path("projects/<slug:slug>/inference/classes/", starting.class_fit_of, name="class_fit"),
    path("projects/<slug:slug>/inference/jobs/", job_pages.history, name="list"),
    path("inference/<int:pk>/", job_pages.job, name="job"),
    path("inference/<int:pk>/answer/", try_it.answer, name="answer"),
    path("inference/<int:pk>/beside/", try_it.beside, name="beside"),
    path("inference/<int:pk>/cancel/", job_pages.job_cancel, name="cancel"),
    path("inference/<int:pk>/repeat/", job_pages.job_repeat, name="repeat"),
    path("inference/<int:pk>/delete/", job_pages.job_delete, name="delete"),
    path("inference/<int:pk>/download/<str:form>/", downloads.download, name="download"),
    path("inference/results/<int:pk>/", job_pages.result, name="result"),
    path("inference/results/<int:pk>/keep/", try_it.keep, name="keep"),
    path("inference/results/<int:pk>/image/", pictures.image, name="image"),
    path("inference/results/<int:pk>/thumb/<int:size>/", pictures.thumb, name="thumb"),
    path("inference/results/<int:pk>/heat.png", pictures.heat, name="heat"),
    path("inference/results/<int:pk>/picture.jpg", pictures.picture, name="picture"),
]
