"""Django's PostgreSQL backend on the embedded server, which starts when the first connection is asked for."""

from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

from config import embedded


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        self.settings_dict.update(embedded.postgres_settings(settings.DATA_DIR))
        return super().get_connection_params()
