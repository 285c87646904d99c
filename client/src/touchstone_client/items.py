"""A question that is put to the model at every firing."""

from dataclasses import dataclass, field
from typing import Any

from touchstone_client.item_keys import content_key


@dataclass(frozen=True)
class Item:
    """One prompt, or one conversation up to where the model shall speak. `references` may be empty."""

    sample_index: int
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    references: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    key: str = ""

    def __post_init__(self) -> None:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("An item holds either a prompt or messages.")
        if not self.key:
            object.__setattr__(self, "key", content_key(self.messages if self.prompt is None else self.prompt))

    def as_dict(self) -> dict[str, Any]:
        """As the server takes it."""
        asked: dict[str, Any] = {"messages": self.messages} if self.prompt is None else {"prompt": self.prompt}
        return {
            "item_key": self.key,
            "sample_index": self.sample_index,
            **asked,
            "references": list(self.references),
            "metadata": self.metadata,
        }
