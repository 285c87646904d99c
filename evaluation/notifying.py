"""Telling of alerts: what is to be sent becomes rows, and each row is tried until the other side takes it, with growing pauses.

A webhook is signed: the header Touchstone-Signature holds v1= and the HMAC-SHA256, under the channel's secret, of the header
Touchstone-Timestamp, a full stop and the body. Touchstone-Delivery names the message: what is sent again has the same.
"""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from evaluation import webhooks
from evaluation.models import Alert, AlertChannel, AlertRule, AlertStatus, ChannelKind, Delivery, DeliveryStatus

FIRED, RESOLVED, TEST = "alert.fired", "alert.resolved", "test"
PAUSES = [timedelta(**pause) for pause in ({"seconds": 30}, {"minutes": 2}, {"minutes": 10}, {"hours": 1}, {"hours": 6})]
# Whoever tries a message has it for so long; a worker that was lost with it gives it back then.
LEASE = timedelta(minutes=2)
MOST_ALERTS = 20
KEPT = timedelta(days=30)


class NotSent(Exception):
    """It did not get through. `for_good`: trying again cannot help."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


# --- What is to be sent ----------------------------------------------------------------------------------------------------
def tell(rules: Sequence[AlertRule], now: datetime) -> None:
    """Messages of what these rules have raised and not told yet, and of what has resolved by itself since it was told.

    While a rule's debounce lasts its alerts wait, and then come as one message.
    """
    channels = _channels(rules)
    waiting = [rule for rule in rules if channels[rule.pk] and rule.may_notify(now)]
    fired = _by_rule(Alert.objects.filter(rule__in=waiting, status=AlertStatus.OPEN, notified_at=None))
    # What a person resolved, that person knows.
    over = _by_rule(
        Alert.objects.filter(
            rule__in=[rule for rule in rules if channels[rule.pk]],
            status=AlertStatus.RESOLVED,
            resolved_by=None,
            notified_at__isnull=False,
            resolution_told=False,
        )
    )
    for rule in rules:
        if fired[rule.pk]:
            _send(FIRED, rule, channels[rule.pk], fired[rule.pk])
            Alert.objects.filter(pk__in=[alert.pk for alert in fired[rule.pk]]).update(notified_at=now, resolution_told=False)
            AlertRule.objects.filter(pk=rule.pk).update(notified_at=now)
        if over[rule.pk]:
            _send(RESOLVED, rule, channels[rule.pk], over[rule.pk])
            Alert.objects.filter(pk__in=[alert.pk for alert in over[rule.pk]]).update(resolution_told=True)


def _channels(rules: Sequence[AlertRule]) -> dict[int, list[AlertChannel]]:
    found: dict[int, list[AlertChannel]] = defaultdict(list)
    for link in AlertRule.channels.through.objects.filter(alertrule__in=rules).select_related("alertchannel"):
        found[link.alertrule_id].append(link.alertchannel)
    return found


def _by_rule(alerts: Any) -> dict[int, list[Alert]]:
    found: dict[int, list[Alert]] = defaultdict(list)
    for alert in alerts.select_related("job", "run").order_by("pk"):
        found[alert.rule_id].append(alert)
    return found


def _send(event: str, rule: AlertRule, channels: Sequence[AlertChannel], alerts: Sequence[Alert]) -> list[Delivery]:
    body = message(event, rule, alerts)
    return Delivery.objects.bulk_create([Delivery(channel=channel, rule=rule, event=event, body=body) for channel in channels])


def message(event: str, rule: AlertRule, alerts: Sequence[Alert]) -> dict[str, Any]:
    """What is sent. Of many alerts the newest are named, and all counted."""
    return {
        "event": event,
        "test": event == TEST,
        "project": rule.project.slug,
        "rule": {"id": rule.pk, "name": rule.name, "watches": rule.watched, "alerts_when": rule.in_words},
        "count": len(alerts),
        "alerts": [_as_dict(alert) for alert in alerts[::-1][:MOST_ALERTS]],
        "url": public(reverse("alerts:list", args=[rule.project.slug])),
    }


def _as_dict(alert: Alert) -> dict[str, Any]:
    run = alert.run
    return {
        "id": alert.pk,
        "status": alert.status,
        "message": alert.message,
        "resolution": alert.resolution,
        "job_id": alert.job.job_id,
        "run": alert.run_id,
        "epoch": run.epoch if run else None,
        "step": run.step if run else None,
        "value": alert.value,
        "reference": alert.reference,
        "opened_at": alert.opened_at.isoformat(),
        "url": public(alert.get_absolute_url()),
    }


def public(path: str) -> str:
    """The address as people outside reach it, where the server knows its own; else the path."""
    return settings.PUBLIC_URL + path


def test_messages(channels: Sequence[AlertChannel], rule: AlertRule | None = None) -> list[Delivery]:
    """Messages marked as a test, through the real channels."""
    body = {
        "event": TEST,
        "test": True,
        "count": 0,
        "alerts": [],
        "rule": None,
        "message": "This is a test of Touchstone's alerts.",
    }
    if rule is not None:
        body |= message(TEST, rule, [])
    return Delivery.objects.bulk_create([Delivery(channel=channel, rule=rule, event=TEST, body=body) for channel in channels])


# --- Sending ---------------------------------------------------------------------------------------------------------------
def due() -> list[UUID]:
    return list(Delivery.objects.due().values_list("pk", flat=True)[:200])


def deliver(pk: UUID) -> bool:
    """Try a message that is due; whether it got through. Whoever else tries it at the same time does nothing."""
    claimed = Delivery.objects.due().filter(pk=pk).update(next_attempt_at=timezone.now() + LEASE, attempts=F("attempts") + 1)
    if not claimed:
        return False
    delivery = Delivery.objects.select_related("channel", "rule__project").get(pk=pk)
    try:
        delivery.answer = _by_mail(delivery) if delivery.channel.kind == ChannelKind.EMAIL else _by_webhook(delivery)
    except NotSent as failure:
        _put_off(delivery, failure)
    else:
        delivery.status, delivery.finished_at = DeliveryStatus.SENT, timezone.now()
    delivery.save(update_fields=["status", "finished_at", "answer", "next_attempt_at"])
    return delivery.status == DeliveryStatus.SENT


def _put_off(delivery: Delivery, failure: NotSent) -> None:
    """A test is tried once: who pressed the button wants to know now."""
    delivery.answer = str(failure)
    if failure.for_good or delivery.is_test or delivery.attempts > len(PAUSES):
        delivery.status, delivery.finished_at = DeliveryStatus.FAILED, timezone.now()
    else:
        delivery.next_attempt_at = timezone.now() + PAUSES[delivery.attempts - 1]


def _by_webhook(delivery: Delivery) -> str:
    channel = delivery.channel
    body = json.dumps({"delivery": str(delivery.pk), **delivery.body}).encode()
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Touchstone/{settings.VERSION}",
        "Touchstone-Event": delivery.event,
        "Touchstone-Delivery": str(delivery.pk),
        "Touchstone-Timestamp": str(timestamp),
        "Touchstone-Signature": webhooks.signature(channel.secret, timestamp, body),
    }
    try:
        answer = webhooks.post(channel.target, body, headers, allow_private=settings.WEBHOOK_PRIVATE)
    except webhooks.Refused as refusal:
        raise NotSent(str(refusal), for_good=True) from None
    except webhooks.Unreachable as failure:
        raise NotSent(str(failure)) from None
    if not answer.is_success:
        raise NotSent(f"{answer} (redirects are not followed)" if 300 <= answer.status < 400 else str(answer))
    return str(answer)


def _by_mail(delivery: Delivery) -> str:
    if not settings.EMAIL_HOST:
        raise NotSent("This server sends no e-mail: TOUCHSTONE_EMAIL_HOST is not set.", for_good=True)
    addresses = delivery.channel.addresses
    subject, text = mail(delivery)
    headers = {"Message-ID": f"<{delivery.pk}@touchstone>", "Auto-Submitted": "auto-generated"}
    try:
        EmailMessage(subject, text, to=addresses, headers=headers).send()
    except (SMTPException, OSError) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:2000]) from None
    return f"{settings.EMAIL_HOST} took it for {', '.join(addresses)}"


def mail(delivery: Delivery) -> tuple[str, str]:
    """Subject and text."""
    body = delivery.body
    kind = {FIRED: "Alert", RESOLVED: "Resolved", TEST: "Test"}[delivery.event]
    what = body["rule"]["name"] if body.get("rule") else delivery.channel.name
    more = f" ({body['count']} alerts)" if body["count"] > 1 else ""
    text = render_to_string("alerts/mail.txt", {"body": body, "event": delivery.event})
    return " ".join(f"[Touchstone] {kind}: {what}{more}".split())[:200], text


@transaction.atomic
def forget_old_deliveries() -> int:
    """What was settled long ago; returns how many rows went."""
    gone, _ = Delivery.objects.exclude(status=DeliveryStatus.PENDING).filter(finished_at__lt=timezone.now() - KEPT).delete()
    return gone
