"""Mount points. Pages by app; the API under /api/."""

from django.contrib import admin
from django.urls import include, path

from config import health
from config.overview import overview
from config.palette import jump

admin.site.site_header = admin.site.site_title = "Touchstone"

handler404 = "config.api.not_found"
handler500 = "config.api.server_error"

urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("datasets.urls")),
    path("", include("predictions.urls")),
    path("", include("predictions.training_urls")),
    path("", include("predictions.sets_urls")),
    path("", include("evaluation.alert_urls")),
    path("", include("evaluation.gate_urls")),
    path("", include("evaluation.urls")),
    path("", include("evaluation.test_run_urls")),
    path("", include("inference.urls")),
    path("projects/<slug:slug>/overview/", overview, name="overview"),
    path("jump/", jump, name="jump"),
    path("api/", include("config.api_urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
