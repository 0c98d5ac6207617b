"""Claims, a key each."""

from __future__ import annotations

import os
from typing import Final

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.interfaces.registry import ClaimStore

_SIGNATURE: Final = 8
"""Bytes before a value that identify the call that stored it."""


class RedisClaims(ClaimStore):
    """One expiring key per claim.

    The value is stored behind a signature of the call. A call that is sent again over a new
    connection, because the answer was lost, finds its own signature and knows that it has won.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def claim(
        self, app_id: str, scope: str, key: str, value: bytes, ttl: int
    ) -> bytes | None:
        signature = os.urandom(_SIGNATURE)
        name = self._keys.claim(app_id, scope, key)
        former: bytes | None = await self._link.execute(
            "SET", name, signature + value, "EX", ttl, "NX", "GET"
        )
        if former is None or former.startswith(signature):
            return None
        return former[_SIGNATURE:]

    async def release(self, app_id: str, scope: str, key: str) -> None:
        await self._link.execute("DEL", self._keys.claim(app_id, scope, key))
