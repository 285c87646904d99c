"""The application as WSGI servers load it."""

import os

from django.core.wsgi import get_wsgi_application

from config.embedded import places

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

if os.environ.get(places.TENDED):
    # Under `manage.py up` this process ends with the one that started it, however that ends.
    places.end_with_parent("granian")

application = get_wsgi_application()
