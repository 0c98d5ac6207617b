"""Counters of fixed windows, a key each."""

from __future__ import annotations

from typing import Final

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.scripts import Script
from nexxus.interfaces.registry import CounterStore

_HIT: Final = Script("""
local value = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return value
""")


class RedisCounters(CounterStore):
    """One key per counter, which expires with its window."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def hit(self, app_id: str, scope: str, key: str, window: int, *, add: int = 1) -> int:
        name = self._keys.counter(app_id, scope, key)
        if not add:
            return int(await self._link.execute("GET", name) or 0)
        return int(await self._link.run(_HIT, [name], add, window))
