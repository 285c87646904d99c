"""Metrics by task type: `judge` of a task's module makes an Outcome of columns. No Django here.

A new task type is one module and one line.
"""

from collections.abc import Callable
from functools import partial

from evaluation.metrics import labels, objects
from evaluation.metrics.outcome import Outcome

JUDGES: dict[str, Callable[..., Outcome]] = {
    "classification": labels.judge,
    **{task_type: partial(objects.judge, task_type) for task_type in objects.KINDS},
}
