"""Devices, on disk only: they are read when a connection registers, not on every request."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nexxus.adapters.in_process.registry.sessions import InProcessSessions
from nexxus.adapters.in_process.registry.subscriptions import InProcessSubscriptions
from nexxus.interfaces.registry import Device, DeviceStore
from nexxus.toolkit.sqlite_engine import SqliteEngine

_DECODER: Final = msgspec.json.Decoder(Device)

_PUT: Final = """
INSERT INTO devices (app_id, id, user_id, device)
SELECT json_extract(value, '$.appId'), json_extract(value, '$.id'),
       json_extract(value, '$.userId'), value
FROM json_each(?) WHERE true
ON CONFLICT (app_id, id) DO UPDATE SET user_id = excluded.user_id, device = excluded.device
"""


class InProcessDevices(DeviceStore):
    """The table of devices. `clock` returns UNIX seconds."""

    def __init__(
        self,
        engine: SqliteEngine,
        clock: Callable[[], float],
        sessions: InProcessSessions,
        subscriptions: InProcessSubscriptions,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._sessions = sessions
        self._subscriptions = subscriptions

    async def put(self, device: Device) -> None:
        await self._engine.write_together(_put, device)

    async def note_seen(self, app_id: str, device_id: str) -> None:
        """Set the time at which a device was last seen to now, if the device is stored."""
        await self._engine.write_together(_note_seen, (int(self._clock()), app_id, device_id))

    async def get(self, app_id: str, device_id: str) -> Device | None:
        row = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT device FROM devices WHERE app_id = ? AND id = ?", (app_id, device_id)
            ).fetchone()
        )
        return None if row is None else _DECODER.decode(row[0])

    async def of_user(self, app_id: str, user_id: str) -> list[Device]:
        rows = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT device FROM devices WHERE app_id = ? AND user_id = ? ORDER BY place",
                (app_id, user_id),
            ).fetchall()
        )
        return [_DECODER.decode(row[0]) for row in rows]

    async def delete(self, app_id: str, device_ids: Sequence[str]) -> None:
        await self._sessions.end_of_devices(app_id, device_ids)
        await self._delete(app_id, device_ids)
        await self._subscriptions.remove_devices(app_id, device_ids)

    async def _delete(self, app_id: str, device_ids: Sequence[str]) -> None:
        ids = msgspec.json.encode(list(device_ids)).decode()
        await self._engine.write(
            lambda connection: connection.execute(
                "DELETE FROM devices WHERE app_id = ? AND id IN (SELECT value FROM json_each(?))",
                (app_id, ids),
            )
        )


def _note_seen(connection: sqlite3.Connection, seen: Sequence[tuple[int, str, str]]) -> list[None]:
    connection.executemany(
        "UPDATE devices SET device = json_set(device, '$.lastSeen', ?) WHERE app_id = ? AND id = ?",
        seen,
    )
    return [None] * len(seen)


def _put(connection: sqlite3.Connection, devices: Sequence[Device]) -> list[None]:
    connection.execute(_PUT, (msgspec.json.encode(devices).decode(),))
    return [None] * len(devices)
