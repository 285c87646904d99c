"""Addresses of checkpoints, within inference.urls."""

from django.urls import path

from inference import checkpoint_views as views

urlpatterns = [
    path("projects/<slug:slug>/checkpoints/", views.checkpoint_list, name="checkpoints"),
    path("projects/<slug:slug>/checkpoints/new/", views.checkpoint_new, name="checkpoint_new"),
    path("checkpoints/<int:pk>/", views.checkpoint_detail, name="checkpoint"),
    path("checkpoints/<int:pk>/trust/", views.checkpoint_trust, name="checkpoint_trust"),
    path("checkpoints/<int:pk>/delete/", views.checkpoint_delete, name="checkpoint_delete"),
    path("checkpoints/<int:pk>/export/", views.checkpoint_export, name="checkpoint_export"),
    path("checkpoint-exports/<int:pk>/file/", views.export_file, name="export_file"),
    path("checkpoint-exports/<int:pk>/register/", views.export_register, name="export_register"),
    path("checkpoint-exports/<int:pk>/cancel/", views.export_cancel, name="export_cancel"),
]
