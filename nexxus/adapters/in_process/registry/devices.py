"""Devices, on disk only: they are read when a connection registers, not on every request."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.interfaces.registry import Device
from nexxus.toolkit.sqlite_engine import SqliteEngine

_DECODER: Final = msgspec.json.Decoder(Device)

_PUT: Final = """
INSERT INTO devices (app_id, id, user_id, device)
SELECT json_extract(value, '$.appId'), json_extract(value, '$.id'),
       json_extract(value, '$.userId'), value
FROM json_each(?) WHERE true
ON CONFLICT (app_id, id) DO UPDATE SET user_id = excluded.user_id, device = excluded.device
"""


class Devices:
    """The table of devices."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    async def put(self, device: Device) -> None:
        """Store a device, new or changed; a changed one keeps its place among the user's."""
        await self._engine.write_together(_put, device)

    async def note_seen(self, app_id: str, device_id: str) -> None:
        """The device, if there is one, was seen just now."""
        await self._engine.write_together(_note_seen, (int(time.time()), app_id, device_id))

    async def get(self, app_id: str, device_id: str) -> Device | None:
        """One device."""
        row = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT device FROM devices WHERE app_id = ? AND id = ?", (app_id, device_id)
            ).fetchone()
        )
        return None if row is None else _DECODER.decode(row[0])

    async def of(self, app_id: str, user_id: str) -> list[Device]:
        """A user's devices, oldest first."""
        rows = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT device FROM devices WHERE app_id = ? AND user_id = ? ORDER BY place",
                (app_id, user_id),
            ).fetchall()
        )
        return [_DECODER.decode(row[0]) for row in rows]

    async def delete(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Forget devices."""
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
