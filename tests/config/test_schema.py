"""The OpenAPI schema and its page."""

import pytest
from django.core.management import call_command
from django.test import Client


def test_the_schema_is_valid_and_without_warnings(tmp_path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


@pytest.mark.django_db
def test_the_docs_come_from_here(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    assert "swagger-ui" in page and "//cdn" not in page
