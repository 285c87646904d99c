"""Gates: finding and saving them, choosing the run, and checking it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404

from accounts.access import require_role
from accounts.models import Role, User
from evaluation.comparison import judge, mean_interval, what_differs
from evaluation.deciding import FAIL, PASS, UNDECIDED, Decision, decide, overall
from evaluation.models import Gate, GateCheck, GateLimit
from evaluation.models.gates import Against
from evaluation.pairing import pair
from evaluation.runs import comparable
from evaluation.scores import Scores, scores_of
from predictions.models import PredictionRun
from predictions.training import JobConflict


class RunRefused(Exception):
    """There is no such run for this gate; `remedy` says what to name instead."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


WITH = ("project", "job", "prediction_set", "baseline", "created_by")


def get_gate(user: User, pk: int, needed: Role = Role.VIEWER) -> Gate:
    """Raises Http404 for strangers, PermissionDenied for lesser members."""
    return _allowed(user, Gate.objects.visible_to(user).select_related(*WITH).filter(pk=pk).first(), needed)


def find_gate(user: User, name: str, needed: Role = Role.VIEWER, project: str = "") -> Gate:
    """By name. Raises JobConflict where several projects have one of that name."""
    gates = Gate.objects.visible_to(user).select_related(*WITH).filter(name=name)
    found = list((gates.filter(project__slug=project) if project else gates)[:10])
    if len(found) > 1:
        slugs = ", ".join(sorted(gate.project.slug for gate in found))
        remedy = f"Add ?project={found[0].project.slug} to the address, or --project on the command line."
        raise JobConflict(f"Several projects have a gate '{name}': {slugs}.", remedy)
    return _allowed(user, found[0] if found else None, needed)


def _allowed(user: User, gate: Gate | None, needed: Role) -> Gate:
    if gate is None:
        raise Http404
    require_role(user, gate.project, needed)
    return gate


# --- Saving ----------------------------------------------------------------------------------------------------------------
def save_gate(gate: Gate, user: User, limits: Sequence[GateLimit] | None = None) -> Gate:
    """Store a new or changed gate; None leaves its limits. Raises ValidationError by field."""
    if gate.pk is None:
        gate.created_by = user
    gate.full_clean()
    if limits is not None:
        _check_limits(limits)
    try:
        with transaction.atomic():
            gate.save()
            if limits is not None:
                gate.limits.all().delete()
                GateLimit.objects.bulk_create([_of(gate, limit) for limit in limits])
    except IntegrityError:  # somebody took the name between the check and now
        raise ValidationError({"name": "The project has a gate of that name already."}) from None
    return gate


def _check_limits(limits: Sequence[GateLimit]) -> None:
    if not limits:
        raise ValidationError({"limits": "Give at least one score with its limit."})
    if len({limit.metric for limit in limits}) < len(limits):
        raise ValidationError({"limits": "Two limits are of the same score. Give each score once."})
    for limit in limits:
        try:
            limit.clean_fields(exclude=["gate"])
            limit.clean()
        except ValidationError as error:
            raise ValidationError({"limits": [f"{limit.metric}: {text}" for text in error.messages]}) from None


def _of(gate: Gate, limit: GateLimit) -> GateLimit:
    limit.pk, limit.gate = None, gate
    return limit


# --- Which run -------------------------------------------------------------------------------------------------------------
def eligible(user: User, gate: Gate) -> "QuerySet[PredictionRun]":
    """Runs that the gate is for and the user may see, newest first."""
    runs = comparable(user).filter(project=gate.project)
    runs = runs.filter(job=gate.job_id) if gate.job_id else runs.filter(set_version__prediction_set=gate.prediction_set_id)
    return runs.order_by("-pk")


def find_run(user: User, gate: Gate, pk: int) -> PredictionRun:
    run = eligible(user, gate).filter(pk=pk).first()
    if run is None:
        raise RunRefused(f"The gate {gate} is for {gate.is_for}; run {pk} is none of these.", "Name another run.")
    return run


def find_firing(user: User, gate: Gate, job_id: str, epoch: float | None = None, checkpoint: str = "") -> PredictionRun:
    """Of a job that the gate is for: its last run, or its last at that epoch or checkpoint."""
    runs = eligible(user, gate).filter(job__job_id=job_id, is_current=True)
    runs = runs if epoch is None else runs.filter(epoch=epoch)
    runs = runs.filter(checkpoint=checkpoint) if checkpoint else runs
    run = runs.order_by("-epoch", "-step", "-pk").first()
    if run is None:
        at = f" at epoch {epoch:g}" if epoch is not None else f" of checkpoint {checkpoint}" if checkpoint else ""
        raise RunRefused(f"The job '{job_id}' has no run{at} that the gate {gate} is for.", f"It is for {gate.is_for}.")
    return run


def find_baseline(user: User, gate: Gate, run: PredictionRun, pk: int | None = None) -> PredictionRun | None:
    """The one that is named, else the gate's own."""
    if pk is not None:
        found = comparable(user).filter(project=gate.project, pk=pk).first()
        if found is None:
            raise RunRefused(f"The project has no run {pk} for a baseline.", "Name another run.")
        return found
    if gate.against == Against.RUN:
        return comparable(user).filter(pk=gate.baseline_id).first()
    return _last_passed(user, gate, run) if gate.against == Against.PASSED else None


def _last_passed(user: User, gate: Gate, run: PredictionRun) -> PredictionRun | None:
    passed = GateCheck.objects.filter(gate=gate, outcome=PASS, run__job=run.job_id).exclude(run=run.pk).exclude(run=None)
    last = passed.order_by("-pk").values_list("run", flat=True).first()
    return comparable(user).filter(pk=last).first() if last else None


# --- Checking --------------------------------------------------------------------------------------------------------------
def check(gate: Gate, run: PredictionRun, user: User, baseline: PredictionRun | None = None) -> GateCheck:
    """Decide, and keep the decision with its reasons."""
    limits = list(gate.limits.select_related("gate__baseline"))
    differences = what_differs(baseline, run) if baseline is not None and any(_drops(limits)) else []
    decisions = [*_by_limits(gate, limits, run), *_by_drops(gate, limits, run, baseline, differences)]
    outcomes = [decision.outcome for decision in decisions]
    missing = _missing(run)
    reasons = [*([missing] if missing else []), *(decision.reason for decision in _worst_first(decisions))]
    return GateCheck.objects.create(
        gate=gate,
        run=run,
        run_name=name_of(run),
        baseline=baseline,
        baseline_name=name_of(baseline) if baseline else "",
        outcome=overall([*outcomes, *([UNDECIDED] if missing else [])]),
        reasons=reasons,
        figures=[decision.as_dict() for decision in decisions],
        differences=differences,
        created_by=user,
    )


def name_of(run: PredictionRun) -> str:
    if run.job is None:
        return run.name
    return f"{run.job.name}, epoch {run.epoch:g}, step {run.step}"[:300]


def _worst_first(decisions: Sequence[Decision]) -> list[Decision]:
    return sorted(decisions, key=lambda decision: [FAIL, UNDECIDED, PASS].index(decision.outcome))


def _missing(run: PredictionRun) -> str:
    """A run that is half there says nothing of the other half."""
    version = run.set_version
    if version is None or version.is_open or run.dataset_id is not None or run.prediction_count >= version.item_count:
        return ""
    return f"The run has answered {run.prediction_count:,} of the {version.item_count:,} items of {version}."


def _drops(limits: Sequence[GateLimit]) -> list[GateLimit]:
    return [limit for limit in limits if limit.most_drop is not None]


def _by_limits(gate: Gate, limits: Sequence[GateLimit], run: PredictionRun) -> list[Decision]:
    absolute = [limit for limit in limits if limit.limit is not None]
    if not absolute:
        return []
    scores = scores_of(run)
    return [_absolute(gate, limit, scores) for limit in absolute]


def _absolute(gate: Gate, limit: GateLimit, scores: Scores) -> Decision:
    metric = limit.score
    values = scores.values.get(limit.metric, np.empty(0))
    weights = scores.weights if limit.metric == "passed" else np.ones(len(values))
    known = np.isfinite(values)
    values, weights = values[known], weights[: len(known)][known]
    return decide(
        limit.metric,
        metric.label,
        "limit",
        limit.limit,  # type: ignore[arg-type]
        float(values @ weights / weights.sum()) if len(values) else None,
        mean_interval(metric, values, weights) if len(values) else None,
        len(values),
        lower_is_better=limit.is_lower_better,
        least_items=gate.least_items,
        decimals=metric.decimals,
    )


def _by_drops(
    gate: Gate, limits: Sequence[GateLimit], run: PredictionRun, baseline: PredictionRun | None, differences: Sequence[str]
) -> list[Decision]:
    drops = _drops(limits)
    if not drops:
        return []
    why_not = _why_not(gate, baseline, differences)
    if why_not or baseline is None:
        return [_not_decided(limit, why_not) for limit in drops]
    judged = judge(pair(baseline, run), [limit.score for limit in drops])
    found = []
    for limit, one in zip(drops, judged, strict=True):
        sign = 1 if limit.is_lower_better else -1
        loss = None if one.difference is None else sign * one.difference
        bounds = None if one.interval is None else tuple(sorted(sign * bound for bound in one.interval))
        found.append(
            decide(
                limit.metric,
                limit.score.label,
                "drop",
                limit.most_drop,  # type: ignore[arg-type]
                loss,
                bounds,  # type: ignore[arg-type]
                one.scored,
                lower_is_better=True,
                least_items=gate.least_items,
                decimals=limit.score.decimals,
            )
        )
    return found


def _why_not(gate: Gate, baseline: PredictionRun | None, differences: Sequence[str]) -> str:
    """Why nothing can be said of a drop; empty where it can."""
    if baseline is None and gate.against == Against.PASSED:
        return "no run of the job has passed yet. Name a baseline in the check to begin with."
    if baseline is None:
        return "there is no baseline. Name one in the check."
    if differences and not gate.allows_differences:
        return "run and baseline are not comparable: " + " ".join(differences)
    return ""


def _not_decided(limit: GateLimit, why_not: str) -> Decision:
    assert limit.most_drop is not None
    label = limit.score.label
    return Decision(limit.metric, label, "drop", limit.most_drop, UNDECIDED, f"{label} against the baseline: {why_not}")


def check_as_dict(one: GateCheck) -> dict[str, Any]:
    """As the API writes it."""
    return {
        "id": one.pk,
        "gate": one.gate.name,
        "project": one.gate.project.slug,
        "outcome": one.outcome,
        "reasons": one.reasons,
        "run": one.run_id,
        "run_name": one.run_name,
        "baseline": one.baseline_id,
        "baseline_name": one.baseline_name,
        "figures": one.figures,
        "differences": one.differences,
        "checked_by": one.created_by.username if one.created_by else None,
        "checked_at": one.created_at,
    }
