"""How the last firings stand under a rule: what it would say of them, whether or not it watched when they came."""

from dataclasses import dataclass

from evaluation.models import AlertRule, RuleKind
from evaluation.ruling import Ruling, judge
from predictions.models import PredictionRun

SHOWN = 12


@dataclass(frozen=True)
class Standing:
    """`judgement` is None where `why_not` says why."""

    run: PredictionRun
    judgement: Ruling | None
    why_not: str = ""


def standings(rule: AlertRule) -> list[Standing]:
    """Newest first; empty of a rule on silence."""
    if rule.kind == RuleKind.SILENCE:
        return []
    runs = PredictionRun.objects.filter(is_current=True, job__isnull=False, set_version__isnull=False)
    runs = runs.filter(job=rule.job_id) if rule.job_id else runs.filter(set_version__prediction_set=rule.prediction_set_id)
    shown = list(runs.select_related("job", "set_version__prediction_set").order_by("-changed_at", "-pk")[:SHOWN])
    before = _before(shown) if rule.kind == RuleKind.PREVIOUS else {}
    return [_standing(rule, run, before.get(run.pk)) for run in shown]


def _before(shown: list[PredictionRun]) -> dict[int, PredictionRun]:
    """The firing before each, of the same job and version of a set."""
    places: dict[tuple[int | None, int | None], list[int]] = {}
    runs = PredictionRun.objects.filter(
        is_current=True, job__in={run.job_id for run in shown}, set_version__in={run.set_version_id for run in shown}
    )
    for pk, job, version in runs.order_by("epoch", "step", "pk").values_list("pk", "job_id", "set_version_id"):
        places.setdefault((job, version), []).append(pk)
    pairs = {run.pk: _predecessor(places.get((run.job_id, run.set_version_id), []), run.pk) for run in shown}
    found = PredictionRun.objects.in_bulk([pk for pk in pairs.values() if pk is not None])
    return {pk: found[other] for pk, other in pairs.items() if other in found}


def _predecessor(line: list[int], pk: int) -> int | None:
    place = line.index(pk) if pk in line else 0
    return line[place - 1] if place else None


def _standing(rule: AlertRule, run: PredictionRun, before: PredictionRun | None) -> Standing:
    other = rule.baseline if rule.kind == RuleKind.BASELINE else before
    if rule.kind == RuleKind.BASELINE and rule.baseline is None:
        return Standing(run, None, "the baseline was deleted")
    if rule.kind == RuleKind.BASELINE and rule.baseline and rule.baseline.set_version_id != run.set_version_id:
        return Standing(run, None, f"not comparable: the baseline answers {rule.baseline.set_version}")
    if rule.kind == RuleKind.PREVIOUS and before is None:
        return Standing(run, None, "nothing before it")
    judgement = judge(rule, f"Epoch {run.epoch:g}", run.totals, other.totals if other else None)
    return Standing(run, judgement, "" if judgement else "not defined")
