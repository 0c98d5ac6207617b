"""Devices, and which of them a user has.

A device and its user's list lie on different servers of a cluster. The list is written first and
read as a hint: what it names counts only if the device says the same, so that a crash in between
leaves an entry that nobody sees.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.link import Link
from nexxus.adapters.redis.scripts import Script
from nexxus.interfaces.registry import Device

_DECODER: Final = msgspec.json.Decoder(Device)

_NOTE_SEEN: Final = Script("""
local record = redis.call('GET', KEYS[1])
if not record then return end
local device = cjson.decode(record)
device['lastSeen'] = tonumber(ARGV[1])
redis.call('SET', KEYS[1], cjson.encode(device))
""")


class Devices:
    """One key per device; a user's are listed in the order of their making."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def put(self, device: Device) -> None:
        """Store a device, new or changed; a changed one keeps its place among the user's."""
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
        """The device, if there is one, was seen just now."""
        name = self._keys.device(app_id, device_id, "record")
        await self._link.run(_NOTE_SEEN, [name], int(time.time()))

    async def get(self, app_id: str, device_id: str) -> Device | None:
        """One device."""
        found = await self._link.execute("GET", self._keys.device(app_id, device_id, "record"))
        return None if found is None else _DECODER.decode(found)

    async def of(self, app_id: str, user_id: str) -> list[Device]:
        """A user's devices, oldest first."""
        ids = await self._link.execute("ZRANGE", self._listed(app_id, user_id), 0, -1)
        found = await self._link.batch(
            [("GET", self._keys.device(app_id, each.decode(), "record")) for each in ids]
        )
        devices = [_DECODER.decode(each) for each in found if each is not None]
        return [device for device in devices if device.user_id == user_id]

    async def delete(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Forget devices."""
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
