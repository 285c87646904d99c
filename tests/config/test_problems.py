"""What fails outside the API's views has the API's shape below /api/, and a page elsewhere."""

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory

from config.api import server_error
from tests.factories import make_user


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/api/nope/", "/api/runs/1/"])
def test_an_address_that_leads_nowhere(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404 and answer["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == "Not Found" and answer.json()["remedy"]


@pytest.mark.django_db
def test_elsewhere_it_is_a_page(client: Client) -> None:
    assert client.get("/nope/")["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("address", "kind"), [("/api/datasets/", "application/problem+json"), ("/jump/", "text/html")])
def test_our_own_failures(address: str, kind: str) -> None:
    request: HttpRequest = RequestFactory().get(address)
    answer = server_error(request)
    assert answer.status_code == 500 and answer["Content-Type"].startswith(kind)


@pytest.mark.django_db
def test_the_title_is_the_status_in_words(client: Client) -> None:
    client.force_login(make_user("somebody"))
    assert client.put("/api/datasets/").json()["title"] == "Method Not Allowed"
