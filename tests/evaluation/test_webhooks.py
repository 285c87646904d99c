"""Webhooks against a real local server, and the addresses they must never ask."""

import hashlib
import hmac
import ipaddress
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from evaluation import notifying, webhooks
from evaluation.models import Delivery
from tests.factories import make_channel, make_project
from tests.fakes.receiver import Receiver

BODY = b'{"event": "test"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.close()


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Every name resolves to the next answer in turn; returns what was asked."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_body_arrives_with_its_headers(receiver: Receiver) -> None:
    answer = webhooks.post(receiver.url, BODY, {"Touchstone-Event": "test"}, allow_private=True)
    path, headers, body = receiver.requests[0]
    assert (path, body, headers["Touchstone-Event"]) == ("/hook?a=1", BODY, "test")
    assert headers["Host"] == f"127.0.0.1:{receiver.port}" and str(answer) == "200 thank you" and answer.is_success


def test_the_signature_is_what_the_page_tells_receivers_to_check() -> None:
    wanted = hmac.new(b"secret", b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert webhooks.signature("secret", 1_700_000_000, BODY) == "v1=" + wanted


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "[::1]", "169.254.169.254", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "localhost", "localhost.localdomain",
        "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]", "[fe80::1]", "[fc00::1]",
        "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::7f00:1]", "255.255.255.255", "240.0.0.1",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_before_anything_is_sent(host: str, receiver: Receiver) -> None:
    with pytest.raises((webhooks.Refused, webhooks.Unreachable)) as refusal:
        webhooks.post(f"http://{host}:{receiver.port}/", BODY, {})
    # A name that the machine does not know at all is not asked either.
    assert refusal.type is webhooks.Refused or "could not be resolved" in str(refusal.value)
    assert not receiver.requests


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert webhooks.is_public(ipaddress.ip_address(address))


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(webhooks.Refused, match="no public address"):
        webhooks.post("http://hooks.example.org/", BODY, {})


def test_a_second_answer_of_the_dns_is_never_asked_for(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """DNS rebinding: public when checked, local when connected to."""
    asked = names(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    connected: list[Any] = []

    def connect(address: Any, timeout: float) -> socket.socket:
        connected.append(address)
        raise OSError("refused here")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(webhooks.Unreachable):
        webhooks.post(f"http://hooks.example.org:{receiver.port}/", BODY, {})
    assert asked == ["hooks.example.org"] and connected == [("8.8.8.8", receiver.port)] and not receiver.requests


def test_redirects_are_answers_and_not_followed(receiver: Receiver) -> None:
    receiver.behave = lambda handler: handler.send_answer(307, b"", Location="http://169.254.169.254/latest/meta-data/")
    answer = webhooks.post(receiver.url, BODY, {}, allow_private=True)
    assert answer.status == 307 and not answer.is_success and len(receiver.requests) == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/", "file:///etc/passwd", "https://", "http://a:b@example.org/", "http://example.org:0/", "x",
     "http://example.org/\r\nHost: x", "http://exa mple.org/", "http://example.org:99999/", "http://[::1/", "http://example.org/ü"],
)  # fmt: skip
def test_what_is_no_address_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(webhooks.Refused):
        webhooks.check_url(url, allow_private=True)


def test_an_answer_of_a_byte_at_a_time_ends_at_the_deadline(receiver: Receiver) -> None:
    def drip(handler: Any) -> None:
        try:
            for _ in range(100):
                handler.wfile.write(b"H")
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass

    receiver.behave = drip
    began = time.monotonic()
    with pytest.raises(webhooks.Unreachable, match="no whole answer"):
        webhooks.post(receiver.url, BODY, {}, allow_private=True, deadline=0.5)
    assert time.monotonic() - began < 3


def test_of_a_long_answer_the_start_is_kept(receiver: Receiver) -> None:
    receiver.behave = lambda handler: handler.send_answer(200, b"x" * 1_000_000)
    assert len(webhooks.post(receiver.url, BODY, {}, allow_private=True).text) == webhooks.LONGEST_ANSWER


def test_a_body_too_large_is_not_sent(receiver: Receiver) -> None:
    with pytest.raises(webhooks.Refused):
        webhooks.post(receiver.url, b"x" * (webhooks.LARGEST_BODY + 1), {}, allow_private=True)


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(webhooks.Unreachable, match="no connection"):
            webhooks.post(f"http://127.0.0.1:{unused.getsockname()[1]}/", BODY, {}, allow_private=True)


# --- As deliveries ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def channel(db: None, receiver: Receiver, settings: Any) -> Any:
    settings.WEBHOOK_PRIVATE = True
    return make_channel(make_project(), target=receiver.url)


def send(channel: Any, event: str = "alert.fired") -> Any:
    return Delivery.objects.create(channel=channel, event=event, body={"event": event, "count": 0, "alerts": []})


def test_a_delivery_is_signed_with_the_channels_secret(channel: Any, receiver: Receiver) -> None:
    delivery = send(channel)
    assert notifying.deliver(delivery.pk)
    _, headers, body = receiver.requests[0]
    assert headers["Touchstone-Signature"] == webhooks.signature(channel.secret, int(headers["Touchstone-Timestamp"]), body)
    assert headers["Touchstone-Delivery"] == json.loads(body)["delivery"] == str(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.answer) == ("completed", "200 thank you")


def test_a_failed_delivery_is_tried_again_with_growing_pauses(channel: Any, receiver: Receiver) -> None:
    receiver.behave = lambda handler: handler.send_answer(503, b"busy")
    delivery, pauses = send(channel), []
    for _ in range(len(notifying.PAUSES) + 1):
        type(delivery).objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())
        assert not notifying.deliver(delivery.pk)
        delivery.refresh_from_db()
        pauses.append(delivery.next_attempt_at - timezone.now())
    assert (delivery.status, delivery.attempts, delivery.answer) == ("failed", 6, "503 busy")
    assert pauses[:5] == sorted(pauses[:5]) and pauses[4].total_seconds() > 21_000
    assert len({headers["Touchstone-Delivery"] for _, headers, _ in receiver.requests}) == 1


def test_a_delivery_that_somebody_tries_is_not_tried_twice(channel: Any, receiver: Receiver) -> None:
    delivery = send(channel)
    receiver.behave = lambda handler: handler.send_answer(500, b"")
    notifying.deliver(delivery.pk)
    assert not notifying.deliver(delivery.pk) and len(receiver.requests) == 1


def test_a_test_is_tried_once(channel: Any, receiver: Receiver) -> None:
    receiver.behave = lambda handler: handler.send_answer(404, b"no such hook")
    delivery = send(channel, "test")
    notifying.deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.answer) == ("failed", "404 no such hook")


def test_a_private_address_fails_for_good_unless_allowed(channel: Any, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_PRIVATE = False
    delivery = send(channel)
    notifying.deliver(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.status == "failed" and "TOUCHSTONE_WEBHOOK_PRIVATE" in delivery.answer and not receiver.requests
