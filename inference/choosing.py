"""Which checkpoint of a training job is meant: the best, the last, or that of an epoch."""

from collections.abc import Sequence

from django.db.models import QuerySet

from inference.checkpoints import NoSuchCheckpoint
from predictions.models import Checkpoint, TrainingJob

MOST_LISTED = 10
# Metrics by which a checkpoint may be called the best, and whether more is better; the first that is known counts.
DIRECTIONS = {
    "top1": True, "accuracy": True, "map50_95": True, "map": True, "map50": True, "f1": True, "fitness": True,
    "loss": False, "error_rate": False,
}  # fmt: skip


def resolve(job: TrainingJob, wanted: str = "best") -> Checkpoint:
    """`best`, `last` or an epoch's number, of those of the job that can be run. Raises NoSuchCheckpoint."""
    runnable = list(Checkpoint.objects.filter(job=job).runnable().order_by("step", "epoch", "pk"))
    if not runnable:
        told = Checkpoint.objects.filter(job=job).count()
        raise NoSuchCheckpoint(
            f"The training job {job.name} has no checkpoint that can be run here"
            + (f"; it told of {told}, whose files this server does not have." if told else "."),
            "Upload one, or register it from a folder of TOUCHSTONE_CHECKPOINT_ROOTS.",
        )
    if wanted == "last":
        return runnable[-1]
    if wanted == "best":
        return _best(job, runnable)
    found = [checkpoint for checkpoint in runnable if _is_epoch(checkpoint, wanted)]
    if not found:
        raise NoSuchCheckpoint(f"The training job {job.name} has no checkpoint '{wanted[:40]}'.", _existing(runnable))
    return found[-1]


def in_words(runnable: "QuerySet[Checkpoint]") -> str:
    """The newest of them with their ids, for whoever named one that does not exist."""
    return ", ".join(f"{each.pk} ({each})" for each in runnable.order_by("-pk")[:MOST_LISTED]) or "none yet"


def _is_epoch(checkpoint: Checkpoint, wanted: str) -> bool:
    try:
        return checkpoint.epoch is not None and float(wanted) == checkpoint.epoch
    except ValueError:
        return False


def _existing(runnable: Sequence[Checkpoint]) -> str:
    epochs = [f"{checkpoint.epoch:g}" for checkpoint in runnable if checkpoint.epoch is not None]
    return f"There are: best, last{''.join(f', {epoch}' for epoch in epochs[-MOST_LISTED:])}."


def _best(job: TrainingJob, runnable: Sequence[Checkpoint]) -> Checkpoint:
    """By the metric that the job's config names (`metric`, `greater_is_better`), else the first that is known here."""
    metric, more_is_better = _metric_of(job, runnable)
    scored = [checkpoint for checkpoint in runnable if isinstance(checkpoint.metrics.get(metric), int | float)]
    if not scored:
        metrics = sorted({name for checkpoint in runnable for name in checkpoint.metrics})
        raise NoSuchCheckpoint(
            f"No checkpoint of {job.name} says how good it is" + (f" by '{metric}'." if metric else "."),
            f"{_existing(runnable)} Metrics told: {', '.join(metrics[:MOST_LISTED]) or 'none'}; name one as `metric` in the config.",
        )
    return (max if more_is_better else min)(scored, key=lambda checkpoint: checkpoint.metrics[metric])


def _metric_of(job: TrainingJob, runnable: Sequence[Checkpoint]) -> tuple[str, bool]:
    named = job.config.get("metric") or job.config.get("metric_for_best_model")
    if isinstance(named, str):
        stated = job.config.get("greater_is_better")
        return named, stated if isinstance(stated, bool) else _more_is_better(named)
    told = {name for checkpoint in runnable for name in checkpoint.metrics}
    for known in DIRECTIONS:
        if found := next((name for name in sorted(told) if _plain(name) == known), None):
            return found, DIRECTIONS[known]
    return "", True


def _plain(name: str) -> str:
    """`metrics/mAP50-95(B)`, `eval_loss` and the like by their plain names."""
    last = name.rsplit("/", 1)[-1].split("(")[0].lower().replace("-", "_")
    return last.removeprefix("eval_").removeprefix("val_").removesuffix("_acc")


def _more_is_better(name: str) -> bool:
    plain = _plain(name)
    return DIRECTIONS.get(plain, not plain.endswith(("loss", "error", "error_rate", "wer", "cer")))
