"""Counters of fixed windows."""

from __future__ import annotations

from typing import Final

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Link
from nexxus.adapters.redis.scripts import Script

_HIT: Final = Script("""
local value = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return value
""")


class Counters:
    """One key per counter, which ends with its window."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def hit(self, app_id: str, scope: str, key: str, window: int, add: int) -> int:
        """Add to a counter, whose window begins with its first hit; its value after."""
        name = self._keys.counter(app_id, scope, key)
        if not add:
            return int(await self._link.execute("GET", name) or 0)
        return int(await self._link.run(_HIT, [name], add, window))
