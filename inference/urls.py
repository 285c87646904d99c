"""Pages of inference."""

from django.urls import include, path

app_name = "inference"
urlpatterns = [path("", include("inference.checkpoint_urls"))]
