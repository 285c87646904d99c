"""What the clock's look at the rules does: judge what is new, raise alerts, and resolve what is over.

Nothing is missed and nothing raised twice: a look goes back a quarter of an hour before the last one, which covers calls
whose transactions ended late, and an alert remembers the state of the run that it judged. The cost depends on the runs of
the jobs that have news, never on rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from evaluation import notifying
from evaluation.models import Alert, AlertRule, AlertStatus, RuleKind
from evaluation.ruling import Ruling, is_breach, judge
from predictions.models import PredictionRun, TrainingJob, TrainingStatus

# Rows come in batches: a run is judged when all of its set is answered, or when no more has come for a while. Longer, where
# it is known that something is missing: a trainer that could not reach us tries again within a minute.
QUIET, QUIET_WHERE_ROWS_ARE_MISSING = timedelta(seconds=30), timedelta(minutes=3)
LOOK_BACK = timedelta(minutes=15)


@dataclass(frozen=True)
class Firing:
    """A run without its totals, which are large."""

    pk: int
    job_id: int
    version_id: int
    set_id: int
    epoch: float
    step: int
    changed_at: datetime
    answered: int
    asked: int | None

    @property
    def place(self) -> str:
        return f"Epoch {self.epoch:g}, step {self.step}"

    def is_settled(self, now: datetime) -> bool:
        if self.asked is not None and self.answered >= self.asked:
            return True
        return now - self.changed_at >= (QUIET if self.asked is None else QUIET_WHERE_ROWS_ARE_MISSING)


Line = list[Firing]


@transaction.atomic
def look(now: datetime | None = None) -> int:
    """Judge by all rules that are on; returns how many alerts were raised. A second look at the same time finds nothing to do."""
    now = now or timezone.now()
    locked = AlertRule.objects.filter(is_on=True).select_for_update(skip_locked=True, of=("self",))
    rules = list(locked.select_related("project", "job", "prediction_set", "baseline").order_by("pk"))
    if not rules:
        return 0
    silent = [rule for rule in rules if rule.kind == RuleKind.SILENCE]
    scoring = [rule for rule in rules if rule.kind != RuleKind.SILENCE]
    raised = _watch_scores(scoring, now) + _watch_silence(silent, now)
    AlertRule.objects.filter(pk__in=[rule.pk for rule in rules]).update(looked_at=now)
    notifying.tell(rules, now)
    return raised


# --- Scores ----------------------------------------------------------------------------------------------------------------
def _news_from(rule: AlertRule) -> datetime:
    return max(rule.watches_from, rule.looked_at - LOOK_BACK)


def _watch_scores(rules: Sequence[AlertRule], now: datetime) -> int:
    if not rules:
        return 0
    _resolve_superseded(rules)
    lines = _lines_with_news(rules)
    if not lines:
        return 0
    plans = [plan for rule in rules for line in lines if _is_watched(rule, line) and (plan := _plan(rule, line, now))]
    totals = _totals({pk for plan in plans for pk in plan.needed})
    alerts = _alerts_of(rules, {line[0].job_id for line in lines})
    return sum(_carry_out(plan, totals, alerts[plan.rule.pk]) for plan in plans)


def _resolve_superseded(rules: Sequence[AlertRule]) -> None:
    for alert in Alert.objects.unresolved().filter(rule__in=rules, run__is_current=False):
        _resolve(alert, "A later attempt has answered in place of this run.")


def _lines_with_news(rules: Sequence[AlertRule]) -> list[Line]:
    """The firings, in order of training, of each job and version of a set that has something new."""
    jobs = [rule.job_id for rule in rules if rule.job_id]
    sets = [rule.prediction_set_id for rule in rules if rule.prediction_set_id]
    current = PredictionRun.objects.filter(is_current=True, job__isnull=False, set_version__isnull=False).order_by()
    scope = current.filter(Q(job__in=jobs) | Q(set_version__prediction_set__in=sets))
    since = min(_news_from(rule) for rule in rules)
    places = set(scope.filter(changed_at__gt=since).values_list("job_id", "set_version_id").distinct())
    if not places:
        return []
    found: dict[tuple[int, int], Line] = defaultdict(list)
    runs = current.filter(job__in={job for job, _ in places}, set_version__in={version for _, version in places})
    columns = ["pk", "job_id", "set_version_id", "set_version__prediction_set_id", "epoch", "step", "changed_at",
               "prediction_count", "set_version__item_count", "set_version__content_hash"]  # fmt: skip
    for *values, item_count, content_hash in runs.order_by("epoch", "step", "pk").values_list(*columns):
        firing = Firing(*values, asked=item_count if content_hash else None)
        found[firing.job_id, firing.version_id].append(firing)
    return [line for place, line in found.items() if place in places]


def _is_watched(rule: AlertRule, line: Line) -> bool:
    if rule.kind == RuleKind.BASELINE and (rule.baseline is None or rule.baseline.set_version_id != line[0].version_id):
        return False  # another version asks other questions
    return rule.job_id == line[0].job_id if rule.job_id else rule.prediction_set_id == line[0].set_id


@dataclass(frozen=True)
class Plan:
    """Which firings of a line to judge by a rule: those with news, and the last, which may show that the score is back."""

    rule: AlertRule
    line: Line
    news: list[int]
    last: int

    @property
    def places(self) -> list[int]:
        return sorted({*self.news, self.last})

    def other(self, place: int) -> int | None:
        """The pk of the run that the one at this place is compared with."""
        if self.rule.kind == RuleKind.BASELINE:
            return self.rule.baseline_id
        return self.line[place - 1].pk if self.rule.kind == RuleKind.PREVIOUS and place else None

    @property
    def needed(self) -> Iterator[int]:
        for place in self.places:
            yield self.line[place].pk
            other = self.other(place)
            if other is not None:
                yield other


def _plan(rule: AlertRule, line: Line, now: datetime) -> Plan | None:
    since = _news_from(rule)
    settled = [place for place, firing in enumerate(line) if firing.is_settled(now)]
    news = {place for place in settled if line[place].changed_at > since}
    if rule.kind == RuleKind.PREVIOUS:
        # Who is compared with a run that changed is judged anew, too, and nobody by one that is half there.
        news |= {place for place in settled if place - 1 in news and line[place].changed_at > rule.watches_from}
        news = {place for place in news if not place or line[place - 1].is_settled(now)}
    return Plan(rule, line, sorted(news), settled[-1]) if news else None


def _totals(pks: Iterable[int]) -> dict[int, dict[str, Any]]:
    return dict(PredictionRun.objects.filter(pk__in=list(pks)).values_list("pk", "totals"))


def _alerts_of(rules: Sequence[AlertRule], jobs: Iterable[int]) -> dict[int, dict[int, Alert]]:
    """By rule and run."""
    found: dict[int, dict[int, Alert]] = defaultdict(dict)
    for alert in Alert.objects.filter(rule__in=rules, job__in=list(jobs), run__isnull=False).order_by("pk"):
        assert alert.run_id is not None
        found[alert.rule_id][alert.run_id] = alert
    return found


def _carry_out(plan: Plan, totals: Mapping[int, Mapping[str, Any]], alerts: dict[int, Alert]) -> int:
    raised = 0
    judged: dict[int, Ruling] = {}
    for place in plan.places:
        firing, other = plan.line[place], plan.other(place)
        judgement = judge(plan.rule, firing.place, totals.get(firing.pk, {}), totals.get(other) if other else None)
        if judgement is None:
            continue
        judged[place] = judgement
        if place in plan.news:
            raised += _apply(plan.rule, firing, judgement, alerts)
    _resolve_what_is_back(plan, judged, alerts)
    return raised


def _apply(rule: AlertRule, firing: Firing, judgement: Ruling, alerts: dict[int, Alert]) -> bool:
    """Raise, change, reopen or resolve the alert of this rule and run; whether one was raised."""
    alert = alerts.get(firing.pk)
    if alert is None:
        if judgement.is_breach:
            alerts[firing.pk] = Alert.objects.create(
                rule=rule,
                job_id=firing.job_id,
                run_id=firing.pk,
                since=firing.changed_at,
                value=judgement.value,
                reference=judgement.reference,
                message=judgement.message,
            )
        return judgement.is_breach
    if (alert.since, alert.value, alert.reference) == (firing.changed_at, judgement.value, judgement.reference):
        return False
    alert.since, alert.value, alert.reference = firing.changed_at, judgement.value, judgement.reference
    if judgement.is_breach:
        alert.message = judgement.message
        if alert.status == AlertStatus.RESOLVED and alert.resolved_by_id is None:
            alert.status, alert.resolved_at, alert.resolution, alert.notified_at = AlertStatus.OPEN, None, "", None
        alert.save()
    elif alert.status != AlertStatus.RESOLVED:
        shown = rule.measure.shown(judgement.value)
        _resolve(alert, f"More answers of this run have come: {rule.measure.label} is {shown}, within the limit.")
    else:
        alert.save()
    return False


def _resolve_what_is_back(plan: Plan, judged: Mapping[int, Ruling], alerts: Mapping[int, Alert]) -> None:
    """An alert is over when a later firing is as good again as what its run was held against, within the rule's limit."""
    for place, firing in enumerate(plan.line):
        alert = alerts.get(firing.pk)
        if alert is None or alert.status == AlertStatus.RESOLVED or alert.reference is None:
            continue
        for later, judgement in judged.items():
            if later > place and not is_breach(plan.rule, judgement.value, alert.reference):
                shown = plan.rule.measure.shown(judgement.value)
                _resolve(alert, f"{plan.line[later].place} is back at {shown}, within the limit.")
                break


def _resolve(alert: Alert, resolution: str) -> None:
    alert.resolve(resolution)
    alert.save()


# --- Silence ---------------------------------------------------------------------------------------------------------------
def _watch_silence(rules: Sequence[AlertRule], now: datetime) -> int:
    if not rules:
        return 0
    running = list(TrainingJob.objects.filter(status=TrainingStatus.RUNNING, project__in={rule.project_id for rule in rules}))
    _resolve_heard(rules)
    known = set(Alert.objects.filter(rule__in=rules, job__in=running, run=None).values_list("rule_id", "job_id", "since"))
    silent = [
        Alert(rule=rule, job=job, since=heard, message=f"{job.name} has given no sign of life since {_time(heard)}")
        for rule, jobs in _jobs_of(rules, running)
        for job in jobs
        if (heard := job.last_seen_at or job.started_at) is not None
        and now - heard > timedelta(minutes=rule.threshold)
        and (rule.pk, job.pk, heard) not in known
    ]
    return len(Alert.objects.bulk_create(silent))


def _jobs_of(rules: Sequence[AlertRule], running: Sequence[TrainingJob]) -> Iterator[tuple[AlertRule, list[TrainingJob]]]:
    sets = {rule.prediction_set_id for rule in rules if rule.prediction_set_id}
    answering = PredictionRun.objects.filter(job__in=running, set_version__prediction_set__in=sets).order_by()
    pairs = set(answering.values_list("job_id", "set_version__prediction_set_id").distinct()) if sets else set()
    for rule in rules:
        if rule.job_id:
            yield rule, [job for job in running if job.pk == rule.job_id]
        else:
            assert rule.prediction_set is not None
            name = rule.prediction_set.name
            mine = [job for job in running if job.project_id == rule.project_id]
            yield rule, [job for job in mine if (job.pk, rule.prediction_set_id) in pairs or name in job.registered_sets]


def _resolve_heard(rules: Sequence[AlertRule]) -> None:
    for alert in Alert.objects.unresolved().filter(rule__in=rules, run=None).select_related("job"):
        job = alert.job
        heard = job.last_seen_at or job.started_at
        if job.status != TrainingStatus.RUNNING:
            _resolve(alert, f"The job is {job.get_status_display().lower()}.")
        elif heard is not None and heard > alert.since:
            _resolve(alert, f"It gave a sign of life at {_time(heard)}.")


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%-d %b %Y %H:%M:%S}"
