"""The stable key of a question: what was asked, not where it stood. The same in client and server."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

KEY_LENGTH = 32


def content_key(asked: str | Sequence[Mapping[str, Any]]) -> str:
    """32 hexadecimal digits for a prompt or a list of messages; two runs that asked the same share it."""
    named = {"prompt": asked} if isinstance(asked, str) else {"messages": list(asked)}
    text = json.dumps(named, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Lone surrogates occur in real prompts; they must not stop a key.
    normal = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
    return hashlib.sha256(normal).hexdigest()[:KEY_LENGTH]
