"""Claims: the first to come keeps the key."""

from __future__ import annotations

import os
from typing import Final

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Link

_SIGNATURE: Final = 8
"""Bytes before a value that tell whose it is."""


class Claims:
    """One key per claim, which ends with its time.

    The value is stored behind a signature of the call: one that is sent again over a new
    connection, for the answer was lost, sees its own value and knows that it has won.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def claim(
        self, app_id: str, scope: str, key: str, value: bytes, ttl: int
    ) -> bytes | None:
        """None when it was free and is claimed now; else the value that is there."""
        signature = os.urandom(_SIGNATURE)
        name = self._keys.claim(app_id, scope, key)
        former: bytes | None = await self._link.execute(
            "SET", name, signature + value, "EX", ttl, "NX", "GET"
        )
        if former is None or former.startswith(signature):
            return None
        return former[_SIGNATURE:]

    async def release(self, app_id: str, scope: str, key: str) -> None:
        """Forget a claim."""
        await self._link.execute("DEL", self._keys.claim(app_id, scope, key))
