"""Fates of operations, a key each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Command, RedisLink
from nexxus.domain.operations import Fate
from nexxus.interfaces.registry import FateStore

LIFETIME: Final = 24 * 3600
"""Seconds for which a fate is kept."""

_DECODER: Final = msgspec.json.Decoder(Fate)


class RedisFates(FateStore):
    """Application → operation → fate."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def put(self, fates: Sequence[Fate]) -> None:
        await self._link.batch([self._command(fate) for fate in fates])

    async def get(self, app_id: str, operation_id: str) -> Fate | None:
        found = await self._link.execute("GET", self._keys.fate(app_id, operation_id))
        return None if found is None else _DECODER.decode(found)

    def _command(self, fate: Fate) -> Command:
        name = self._keys.fate(fate.app_id, fate.operation_id)
        put = ("SET", name, msgspec.json.encode(fate), "EX", LIFETIME)
        return (*put, "NX") if fate.state == "queued" else put
