"""Devices, a key each, and the list of each user's devices.

A device and its user's list are on different servers of a cluster. The list is written first and
is only a hint: an entry counts if the device itself names the same user, so that a crash in
between leaves an entry that is never returned.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.scripts import Script
from nexxus.adapters.redis.sessions import RedisSessions
from nexxus.adapters.redis.subscriptions import RedisSubscriptions
from nexxus.interfaces.registry import Device, DeviceStore

_DECODER: Final = msgspec.json.Decoder(Device)

_NOTE_SEEN: Final = Script("""
local record = redis.call('GET', KEYS[1])
if not record then return end
local device = cjson.decode(record)
device['lastSeen'] = tonumber(ARGV[1])
redis.call('SET', KEYS[1], cjson.encode(device))
""")


class RedisDevices(DeviceStore):
    """One key per device; a user's list is in the order of creation."""

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        sessions: RedisSessions,
        subscriptions: RedisSubscriptions,
    ) -> None:
        self._link = link
        self._keys = keys
        self._sessions = sessions
        self._subscriptions = subscriptions

    async def put(self, device: Device) -> None:
        if device.user_id is not None:
            place = time.time_ns() // 1000
            listed = self._listed(device.app_id, device.user_id)
            await self._link.execute("ZADD", listed, "NX", place, device.id)
        name = self._keys.device(device.app_id, device.id, "record")
        found = await self._link.execute("SET", name, msgspec.json.encode(device), "GET")
        if found is None:
            return
        former = _DECODER.decode(found)
        if former.user_id is not None and former.user_id != device.user_id:
            await self._link.execute("ZREM", self._listed(former.app_id, former.user_id), former.id)

    async def note_seen(self, app_id: str, device_id: str) -> None:
        """Set the time at which a device was last seen to now, if the device is stored."""
        name = self._keys.device(app_id, device_id, "record")
        await self._link.run(_NOTE_SEEN, [name], int(time.time()))

    async def get(self, app_id: str, device_id: str) -> Device | None:
        found = await self._link.execute("GET", self._keys.device(app_id, device_id, "record"))
        return None if found is None else _DECODER.decode(found)

    async def of_user(self, app_id: str, user_id: str) -> list[Device]:
        ids = await self._link.execute("ZRANGE", self._listed(app_id, user_id), 0, -1)
        found = await self._link.batch(
            [("GET", self._keys.device(app_id, each.decode(), "record")) for each in ids]
        )
        devices = [_DECODER.decode(each) for each in found if each is not None]
        return [device for device in devices if device.user_id == user_id]

    async def delete(self, app_id: str, device_ids: Sequence[str]) -> None:
        # The devices themselves last: a call that was interrupted half-way can be repeated.
        await self._sessions.end_of_devices(app_id, device_ids)
        await self._subscriptions.remove_devices(app_id, device_ids)
        found = await self._link.batch(
            [("GETDEL", self._keys.device(app_id, each, "record")) for each in device_ids]
        )
        devices = [_DECODER.decode(each) for each in found if each is not None]
        await self._link.batch(
            [
                ("ZREM", self._listed(app_id, device.user_id), device.id)
                for device in devices
                if device.user_id is not None
            ]
        )

    def _listed(self, app_id: str, user_id: str) -> str:
        return self._keys.user(app_id, user_id, "devices")
