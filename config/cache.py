"""The cache on the embedded Redis, which starts when the cache is first used."""

from typing import Any

from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from django.utils.functional import cached_property

from config import embedded


class EmbeddedRedisCache(RedisCache):
    @cached_property
    def _cache(self) -> Any:
        return self._class([embedded.redis_cache_url(settings.DATA_DIR)], **self._options)  # type: ignore[attr-defined]
