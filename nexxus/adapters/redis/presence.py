"""Which connection holds which device.

The device's key is the truth. Each node has a list of the presences that it made, written before
the truth and taken from after it: the list may name too much, never too little, and what it names
is removed only where the device's key still says exactly the same.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Link
from nexxus.adapters.redis.scripts import Script
from nexxus.interfaces.registry import Presence

_DECODER: Final = msgspec.json.Decoder(Presence)

_PART: Final = Script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
    flag="allow-oom",
)


class Presences:
    """Application → device → the connection that holds it."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def connect(self, presence: Presence) -> Presence | None:
        """The device is held by this connection now; another that held it before."""
        written = msgspec.json.encode(presence)
        await self._link.execute("SADD", self._listed(presence.node), written)
        found = await self._link.execute("SET", self._name(presence), written, "GET")
        if found is None or found == written:
            return None
        former = _DECODER.decode(found)
        await self._link.execute("SREM", self._listed(former.node), found)
        return former

    async def disconnect(self, presence: Presence) -> bool:
        """Forget the connection, if it is the one that holds the device; whether it was."""
        written = msgspec.json.encode(presence)
        parted = await self._link.run(_PART, [self._name(presence)], written)
        await self._link.execute("SREM", self._listed(presence.node), written)
        return bool(parted)

    async def get(self, app_id: str, device_id: str) -> Presence | None:
        """Which connection holds a device."""
        found = await self._link.execute("GET", self._keys.device(app_id, device_id, "presence"))
        return None if found is None else _DECODER.decode(found)

    async def retire_some(self, node_id: str, count: int) -> bool:
        """Forget some connections of a node; whether there are more."""
        listed = self._listed(node_id)
        written = await self._link.execute("SRANDMEMBER", listed, count)
        if not written:
            return False
        presences = map(_DECODER.decode, written)
        await self._link.run_each(
            _PART,
            [([self._name(each)], (raw,)) for each, raw in zip(presences, written, strict=True)],
        )
        await self._link.execute("SREM", listed, *written)
        return True

    def _name(self, presence: Presence) -> str:
        return self._keys.device(presence.app_id, presence.device_id, "presence")

    def _listed(self, node_id: str) -> str:
        return self._keys.node(node_id, "presences")
