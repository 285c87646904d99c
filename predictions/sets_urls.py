"""Pages of sets of questions."""

from django.urls import path

from predictions.views.sets import files, items, pages, versions

app_name = "sets"
urlpatterns = [
    path("projects/<slug:slug>/sets/", pages.set_list, name="list"),
    path("projects/<slug:slug>/sets/new/", pages.set_new, name="new"),
    path("projects/<slug:slug>/sets/find/", pages.set_find, name="find"),
    path("projects/<slug:slug>/sets/options/", pages.set_options, name="options"),
    path("projects/<slug:slug>/sets/collect/", items.collect, name="collect"),
    path("sets/<int:pk>/", pages.set_page, name="set"),
    path("sets/<int:pk>/delete/", pages.set_delete, name="delete"),
    path("sets/<int:pk>/draft/", versions.begin, name="begin"),
    path("sets/<int:pk>/discard/", versions.discard, name="discard"),
    path("sets/<int:pk>/rules/", versions.rules, name="rules"),
    path("sets/<int:pk>/publish/", versions.publish, name="publish"),
    path("sets/<int:pk>/diff/", versions.diff, name="diff"),
    path("sets/<int:pk>/items/add/", items.item_add, name="item_add"),
    path("sets/<int:pk>/items/remove/", items.items_remove, name="items_remove"),
    path("sets/<int:pk>/items/<int:item_pk>/", items.item, name="item"),
    path("sets/<int:pk>/import/", files.import_file, name="import"),
    path("sets/<int:pk>/export/", files.export_file, name="export"),
    path("sets/<int:pk>/leakage/", files.leaks, name="leakage"),
]
