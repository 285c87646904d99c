"""Rules, channels and alerts as people handle them: finding, saving, switching, settling."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from accounts.access import require_role, role_in
from accounts.models import Project, Role, User
from evaluation import notifying
from evaluation.models import Alert, AlertChannel, AlertRule, AlertStatus, Delivery

# What a rule judges by: after a change of it, what it raised before is over.
JUDGED_BY = ("kind", "job_id", "prediction_set_id", "metric", "lower_is_better", "baseline_id", "threshold")
TESTS_APART = timedelta(seconds=10)
Found = TypeVar("Found", AlertRule, AlertChannel)


class TrialRefused(Exception):
    """A test that cannot be sent; `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def get_rule(user: User, pk: int, needed: Role = Role.VIEWER) -> AlertRule:
    """The rule with what it watches. Raises Http404 for strangers, PermissionDenied for lesser members."""
    rules = AlertRule.objects.visible_to(user).select_related(
        "project", "job", "prediction_set", "baseline__set_version", "created_by"
    )
    return _allowed(user, rules.filter(pk=pk).first(), needed)


def get_channel(user: User, pk: int, needed: Role = Role.EDITOR) -> AlertChannel:
    """Addresses of webhooks may be secrets in themselves: only editors see them."""
    return _allowed(user, AlertChannel.objects.visible_to(user).select_related("project").filter(pk=pk).first(), needed)


def get_alert(user: User, pk: int, needed: Role = Role.VIEWER) -> Alert:
    alert = Alert.objects.visible_to(user).for_page().filter(pk=pk).first()
    if alert is None:
        raise Http404
    require_role(user, alert.rule.project, needed)
    return alert


def _allowed(user: User, found: Found | None, needed: Role) -> Found:
    if found is None:
        raise Http404
    require_role(user, found.project, needed)
    return found


def unresolved_count(project: Project) -> int:
    return Alert.objects.unresolved().filter(rule__project=project).count()


# --- Saving ----------------------------------------------------------------------------------------------------------------
def save_rule(rule: AlertRule, user: User, channels: Iterable[AlertChannel] | None = None) -> AlertRule:
    """Store a new or changed rule; None leaves its channels. Raises ValidationError by field.

    A rule that judges otherwise than before, or is switched on, watches from now on; what it raised is resolved.
    """
    if channels is not None and any(channel.project_id != rule.project_id for channel in channels):
        raise ValidationError({"channels": "A channel of another project cannot be used."})
    before = AlertRule.objects.filter(pk=rule.pk).first() if rule.pk else None
    with transaction.atomic():
        _save(rule, user)
        if channels is not None:
            rule.channels.set(channels)
        if before is not None and any(getattr(before, name) != getattr(rule, name) for name in JUDGED_BY):
            _watch_anew(rule)
            _resolve_all(rule, "The rule was changed.", user)
        elif before is not None and rule.is_on and not before.is_on:
            _watch_anew(rule)
        elif before is not None and before.is_on and not rule.is_on:
            _resolve_all(rule, "The rule was switched off.", user)
    return rule


def save_channel(channel: AlertChannel, user: User) -> AlertChannel:
    """Raises ValidationError by field."""
    with transaction.atomic():
        _save(channel, user)
    return channel


def _save(row: AlertRule | AlertChannel, user: User) -> None:
    if row.pk is None:
        row.created_by = user
    row.full_clean()
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:  # somebody took the name between the check and now
        raise ValidationError({"name": "The project has one of that name already."}) from None


def _watch_anew(rule: AlertRule) -> None:
    rule.watches_from = rule.looked_at = timezone.now()
    rule.notified_at = None
    rule.save(update_fields=["watches_from", "looked_at", "notified_at"])


def _resolve_all(rule: AlertRule, resolution: str, user: User) -> None:
    for alert in Alert.objects.unresolved().filter(rule=rule):
        alert.resolve(resolution, user)
        alert.save()


def renew_secret(channel: AlertChannel) -> str:
    """A new secret for a webhook; the old one signs nothing any more."""
    channel.salt = channel._meta.get_field("salt").get_default()
    channel.save(update_fields=["salt"])
    return channel.secret


# --- Settling --------------------------------------------------------------------------------------------------------------
def acknowledge(alert: Alert, user: User) -> bool:
    """Somebody looks after it; whether it was open until now."""
    return bool(
        Alert.objects.filter(pk=alert.pk, status=AlertStatus.OPEN).update(
            status=AlertStatus.ACKNOWLEDGED, acknowledged_at=timezone.now(), acknowledged_by=user
        )
    )


def resolve(alert: Alert, user: User, reason: str = "") -> bool:
    """It is over, somebody says; whether it was not before."""
    return bool(
        Alert.objects.unresolved()
        .filter(pk=alert.pk)
        .update(status=AlertStatus.RESOLVED, resolved_at=timezone.now(), resolved_by=user, resolution=reason[:1000])
    )


# --- Tests of channels ------------------------------------------------------------------------------------------------------
def prepare_test(channels: Sequence[AlertChannel], rule: AlertRule | None = None) -> list[Delivery]:
    """Messages marked as a test, for whoever rings to send. Raises TrialRefused."""
    if not channels:
        raise TrialRefused("The rule has no channel to send a test to.", "Choose channels for it first.")
    lately = Delivery.objects.filter(channel__in=channels, event=notifying.TEST, created_at__gt=timezone.now() - TESTS_APART)
    if lately.exists():
        raise TrialRefused("A test was sent a moment ago.", f"Wait {TESTS_APART.seconds} seconds between tests.")
    return notifying.test_messages(channels, rule)


def shown_deliveries(**of: models.Model) -> "QuerySet[Delivery]":
    """The last messages of a channel or rule."""
    return Delivery.objects.filter(**of).select_related("channel")[:20]


def deliveries_of_rule(rule: AlertRule, user: User) -> list[Delivery]:
    """Without the answers where the user is no editor: they name the channel's address."""
    found = list(shown_deliveries(rule=rule))
    if role_in(user, rule.project) == Role.VIEWER:
        for delivery in found:
            delivery.answer = ""
    return found


def form_errors(error: ValidationError, fields: Iterable[str]) -> dict[str | None, list[str]]:
    """By field of a form; what is about none of its fields, by None."""
    known = set(fields)
    found: dict[str | None, list[str]] = {}
    told: dict[str, Any] = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    for name, messages in told.items():
        found.setdefault(name if name in known else None, []).extend(messages)
    return found
