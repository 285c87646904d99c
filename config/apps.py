from django.apps import AppConfig

# Every process that knows the tasks must know the app they belong to, in every thread; or their messages go nowhere.
from config.celery import app

app.set_default()


class ConfigConfig(AppConfig):
    name = "config"
