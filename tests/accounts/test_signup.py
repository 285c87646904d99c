"""Making one's own account, where that is allowed."""

import pytest
from django.test import Client

from accounts.models import User

pytestmark = pytest.mark.django_db
ANSWERS = {"username": "nora", "password1": "a-long-secret-9", "password2": "a-long-secret-9"}


def test_closed_sign_up_says_so(client: Client, settings) -> None:
    settings.SIGNUP_OPEN = False
    answer = client.get("/signup/")
    assert answer.status_code == 404 and "Sign-up is closed" in answer.content.decode()


def test_closed_sign_up_makes_nobody(client: Client, settings) -> None:
    settings.SIGNUP_OPEN = False
    client.post("/signup/", ANSWERS)
    assert not User.objects.exists()


def test_open_sign_up_logs_in(client: Client, settings) -> None:
    settings.SIGNUP_OPEN = True
    client.post("/signup/", ANSWERS)
    assert client.get("/", follow=True).status_code == 200


def test_nobody_signs_up_as_staff(client: Client, settings) -> None:
    settings.SIGNUP_OPEN = True
    client.post("/signup/", {**ANSWERS, "is_staff": "on", "is_superuser": "on"})
    assert not User.objects.get().is_staff


def test_a_weak_password_is_refused(client: Client, settings) -> None:
    settings.SIGNUP_OPEN = True
    answer = client.post("/signup/", {**ANSWERS, "password1": "12345678", "password2": "12345678"})
    assert answer.status_code == 422 and not User.objects.exists()
