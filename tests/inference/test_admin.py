"""Weights that administrators trust, in the admin: by digest, which nobody changes afterwards."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from inference.models import TrustedWeights
from tests.factories import make_user

DIGEST = "0123456789abcdef" * 4
NEW = "admin:inference_trustedweights_add"


@pytest.fixture
def admin_client(db: None, client_of: Any) -> Client:
    client: Client = client_of(make_user("root", is_staff=True, is_superuser=True))
    return client


def test_a_digest_is_taken_as_it_is_printed_with_who_trusts_it(admin_client: Client) -> None:
    answer = admin_client.post(reverse(NEW), {"sha256": f" {DIGEST.upper()}", "note": "ours"})
    made = TrustedWeights.objects.get()
    assert answer.status_code == 302 and made.sha256 == DIGEST
    assert made.trusted_by is not None and made.trusted_by.username == "root"


def test_what_is_no_digest_is_refused(admin_client: Client) -> None:
    answer = admin_client.post(reverse(NEW), {"sha256": "z" * 64, "note": "ours"})
    assert b"64 hexadecimal digits" in answer.content and not TrustedWeights.objects.exists()


def test_a_digest_stays_what_it_is(admin_client: Client) -> None:
    trusted = TrustedWeights.objects.create(sha256=DIGEST, note="ours")
    address = reverse("admin:inference_trustedweights_change", args=[trusted.pk])
    admin_client.post(address, {"sha256": "f" * 64, "note": "theirs"})
    trusted.refresh_from_db()
    assert (trusted.sha256, trusted.note) == (DIGEST, "theirs")


@pytest.mark.parametrize(("search", "count"), [(DIGEST[:12], 1), ("ours", 1), ("nobody", 0)])
def test_they_are_found_by_digest_and_note(search: str, count: int, admin_client: Client) -> None:
    TrustedWeights.objects.create(sha256=DIGEST, note="ours")
    answer = admin_client.get(reverse("admin:inference_trustedweights_changelist"), {"q": search})
    assert answer.context["cl"].result_count == count
