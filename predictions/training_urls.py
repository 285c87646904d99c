"""Pages of training jobs."""


app_name = "training"
urlpatterns: list = []
