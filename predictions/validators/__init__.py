"""Validators: what an answer must satisfy, one structured result each. A validator that fails to run is `error`, never `fail`.

A validator is {"type", "value", "weight", ...}; `not_` before its type, or "not": true, turns it round. The tables of `texts`,
`documents` and `images` hold them: a new one is one function and one line.
"""

from predictions.validators.base import IMAGE, TEXT, Claim, ImageClaim, Kind, SeenObject, Unrunnable, Verdict
from predictions.validators.judging import VALIDATORS, VERSION, Budget, applying, check, find, types, validate

__all__ = [
    "IMAGE", "TEXT", "VALIDATORS", "VERSION", "Budget", "Claim", "ImageClaim", "Kind", "SeenObject", "Unrunnable", "Verdict",
    "applying", "check", "find", "types", "validate",
]  # fmt: skip
