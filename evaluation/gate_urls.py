"""Pages of gates."""

from django.urls import path

from evaluation.views import gates

app_name = "gates"
urlpatterns = [
    path("projects/<slug:slug>/gates/", gates.gate_list, name="list"),
    path("projects/<slug:slug>/gates/new/", gates.gate_new, name="new"),
    path("gates/<int:pk>/", gates.gate, name="gate"),
    path("gates/<int:pk>/edit/", gates.gate_edit, name="edit"),
    path("gates/<int:pk>/check/", gates.gate_check, name="check"),
    path("gates/<int:pk>/delete/", gates.gate_delete, name="delete"),
]
