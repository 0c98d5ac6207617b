"""Which connection holds which device.

The device's key is the truth. Each node has a list of its presences, which is extended before the
key is written and reduced after it is removed: it may name too many, never too few. Retiring a
node removes a device's key only if it still holds exactly what the list says.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec

from nexxus.adapters.redis.devices import RedisDevices
from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.pushes import RedisPushes
from nexxus.adapters.redis.scripts import Script
from nexxus.adapters.redis.subscriptions import RedisSubscriptions
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import LOOK_EVERY, Presence, PresenceStore

_DECODER: Final = msgspec.json.Decoder(Presence)

_PART: Final = Script(
    """
local parted = 0
if redis.call('GET', KEYS[1]) == ARGV[1] then parted = redis.call('DEL', KEYS[1]) end
return {parted, redis.call('EXISTS', KEYS[2])}
""",
    flag="allow-oom",
)


class RedisPresence(PresenceStore):
    """Application → device → presence."""

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        devices: RedisDevices,
        subscriptions: RedisSubscriptions,
        pushes: RedisPushes,
    ) -> None:
        self._link = link
        self._keys = keys
        self._devices = devices
        self._subscriptions = subscriptions
        self._pushes = pushes

    async def connect(self, presence: Presence) -> Presence | None:
        written = msgspec.json.encode(presence)
        await self._link.execute("SADD", self._listed(presence.node), written)
        found, is_persistent = await self._link.batch(
            [
                ("SET", self._name(presence), written, "GET"),
                ("EXISTS", self._keys.persistent(presence.app_id, presence.device_id)),
            ]
        )
        if is_persistent:
            await self._subscriptions.follow_presence(presence.app_id, presence.device_id)
        if found is None or found == written:
            return None
        former = _DECODER.decode(found)
        await self._link.execute("SREM", self._listed(former.node), found)
        return former

    async def disconnect(self, presence: Presence) -> None:
        app_id, device_id = presence.app_id, presence.device_id
        written = msgspec.json.encode(presence)
        parted, is_persistent = await self._link.run(_PART, self._names(presence), written)
        # Even if the presence was gone: a former attempt may have come only as far as that.
        if is_persistent:
            await self._go_away(app_id, device_id)
        # Last: if this process dies before, `NodeStore.sweep` does what is missing.
        await self._link.execute("SREM", self._listed(presence.node), written)
        if parted:
            # The time at which a device was last seen is not worth a failure.
            with suppress(ServiceUnavailable):
                await self._devices.note_seen(app_id, device_id)

    async def get(self, app_id: str, device_id: str) -> Presence | None:
        found = await self._link.execute("GET", self._keys.device(app_id, device_id, "presence"))
        return None if found is None else _DECODER.decode(found)

    async def retire_some(self, node_id: str, count: int) -> bool:
        """Remove up to `count` presences of a node. Returns False if there were none."""
        listed = self._listed(node_id)
        written = await self._link.execute("SRANDMEMBER", listed, count)
        if not written:
            return False
        presences = [_DECODER.decode(each) for each in written]
        outcomes = await self._link.run_each(
            _PART,
            [(self._names(each), (raw,)) for each, raw in zip(presences, written, strict=True)],
        )
        for each, (_, is_persistent) in zip(presences, outcomes, strict=True):
            if is_persistent:
                await self._go_away(each.app_id, each.device_id)
        await self._link.execute("SREM", listed, *written)
        return True

    async def _go_away(self, app_id: str, device_id: str) -> None:
        await self._subscriptions.follow_presence(app_id, device_id)
        await self._pushes.schedule(app_id, device_id, LOOK_EVERY)

    def _names(self, presence: Presence) -> list[str]:
        persistent = self._keys.persistent(presence.app_id, presence.device_id)
        return [self._name(presence), persistent]

    def _name(self, presence: Presence) -> str:
        return self._keys.device(presence.app_id, presence.device_id, "presence")

    def _listed(self, node_id: str) -> str:
        return self._keys.node(node_id, "presences")
