"""Checkpoints that stay loaded between jobs: the few that were used last. No Django."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from inference.adapters.base import Adapter

MOST_KEPT = 3


class LoadedCheckpoints:
    """The least recently used one is closed where room is needed, before the next one is loaded: two need not fit beside it."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, Adapter] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], Adapter]) -> Adapter:
        """The loaded checkpoint of that key (digest, device, settings of loading), loaded where it is not there yet."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        while len(self._kept) >= self.most:
            self._kept.popitem(last=False)[1].close()
        self._kept[key] = load()
        return self._kept[key]

    def close(self) -> None:
        while self._kept:
            self._kept.popitem()[1].close()
