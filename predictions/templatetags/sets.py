"""Items of sets as their pages show them."""

import json
from typing import Any

from django import template

from predictions.leakage import KINDS
from predictions.set_files.base import ItemRecord

register = template.Library()


@register.filter
def compact_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@register.filter
def leak_kind(kind: str) -> str:
    """How a question stands in training data, in few words."""
    return KINDS.get(kind, kind).lower()


@register.filter
def asked(record: ItemRecord) -> str:
    """The question as people read it."""
    if record.prompt is not None:
        return record.prompt
    if record.image is not None:
        return "{dataset}/{split}/{file_name}".format(**record.image)
    return "\n\n".join(f"{message.get('role', '')}: {message.get('content', '')}" for message in record.messages or [])
