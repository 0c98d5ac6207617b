"""Notices for devices that are away, and the schedule of pushes. On disk only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from nexxus.domain.pushes import PushNotice
from nexxus.interfaces.registry import MAX_NOTICES, DuePush, PushStore
from nexxus.toolkit.sqlite_engine import SqliteEngine

_ADD: Final = """
INSERT OR IGNORE INTO push_notices (app_id, device_id, notice)
SELECT json_extract(item.value, '$.app_id'), device.value, json_extract(item.value, '$.notice')
FROM json_each(?) AS item, json_each(item.value, '$.device_ids') AS device
"""

_SCHEDULE: Final = """
INSERT INTO push_schedule (app_id, device_id, due_at)
SELECT json_extract(item.value, '$.app_id'), device.value, json_extract(item.value, '$.due_at')
FROM json_each(?) AS item, json_each(item.value, '$.device_ids') AS device WHERE true
ON CONFLICT (app_id, device_id) DO UPDATE SET due_at = min(push_schedule.due_at, excluded.due_at)
"""

_CUT: Final = """
DELETE FROM push_notices WHERE place IN (
    SELECT place FROM (
        SELECT place, row_number() OVER (
            PARTITION BY app_id, device_id ORDER BY place DESC
        ) AS number
        FROM push_notices
        WHERE (app_id, device_id) IN (
            SELECT json_extract(item.value, '$.app_id'), device.value
            FROM json_each(?) AS item, json_each(item.value, '$.device_ids') AS device
        )
    ) WHERE number > ?
)
"""

_TAKE: Final = """
UPDATE push_schedule SET due_at = :until WHERE rowid IN (
    SELECT rowid FROM push_schedule WHERE due_at <= :now ORDER BY due_at LIMIT :limit
) RETURNING app_id, device_id, attempts
"""

_NOTICES: Final = """
SELECT place, notice FROM push_notices WHERE app_id = ? AND device_id = ? ORDER BY place
"""

_decode = msgspec.json.Decoder(PushNotice).decode


class _Handle(NamedTuple):
    """What was taken: up to which notice, and when the lease ends."""

    last: int
    until: float


class _Added(msgspec.Struct, frozen=True):
    app_id: str
    device_ids: Sequence[str]
    notice: str
    due_at: float


class InProcessPushes(PushStore):
    """The tables of the schedule and of the notices. `clock` returns UNIX seconds."""

    def __init__(self, engine: SqliteEngine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def add(
        self, app_id: str, device_ids: Sequence[str], notice: PushNotice, *, within: float
    ) -> None:
        if device_ids:
            encoded = msgspec.json.encode(notice).decode()
            added = _Added(app_id, device_ids, encoded, self._clock() + within)
            await self._engine.write_together(_add, added)

    async def schedule(self, app_id: str, device_id: str, delay: float) -> None:
        row = (app_id, device_id, self._clock() + delay)
        await self._engine.write_together(_schedule, row)

    async def take(self, limit: int, *, lease: float) -> list[DuePush]:
        now = self._clock()

        def job(connection: sqlite3.Connection) -> list[DuePush]:
            parameters = {"now": now, "until": now + lease, "limit": limit}
            taken = connection.execute(_TAKE, parameters).fetchall()
            return [_read(connection, *row, until=now + lease) for row in taken]

        if not await self._engine.read(lambda connection: _is_any_due(connection, now)):
            return []
        return await self._engine.write(job)

    async def done(self, due: DuePush, *, again_in: float | None) -> None:
        device, handle = (due.app_id, due.device_id), _handle_of(due)
        again_at = None if again_in is None else self._clock() + again_in

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM push_notices WHERE app_id = ? AND device_id = ? AND place <= ?",
                (*device, handle.last),
            )
            left = connection.execute(f"{_NOTICES} LIMIT 1", device).fetchone()
            _reschedule(connection, device, 0, None if left is not None else handle, again_at)

        await self._engine.write(job)

    async def retry(self, due: DuePush, delay: float, *, failed: bool = True) -> None:
        device, attempts = (due.app_id, due.device_id), due.attempts + failed
        again_at, handle = self._clock() + delay, _handle_of(due)
        await self._engine.write(
            lambda connection: _reschedule(connection, device, attempts, handle, again_at)
        )

    async def waiting(self) -> int:
        """Return the number of notices."""
        (count,) = await self._engine.read(
            lambda connection: connection.execute("SELECT count(*) FROM push_notices").fetchone()
        )
        return int(count)


def _handle_of(due: DuePush) -> _Handle:
    return msgspec.json.decode(due.handle, type=_Handle)


def _add(connection: sqlite3.Connection, added: Sequence[_Added]) -> list[None]:
    document = msgspec.json.encode(added).decode()
    connection.execute(_ADD, (document,))
    connection.execute(_CUT, (document, MAX_NOTICES))
    connection.execute(_SCHEDULE, (document,))
    return [None] * len(added)


def _schedule(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, float]]) -> list[None]:
    connection.executemany(
        "INSERT OR IGNORE INTO push_schedule (app_id, device_id, due_at) VALUES (?, ?, ?)", rows
    )
    return [None] * len(rows)


def _is_any_due(connection: sqlite3.Connection, now: float) -> bool:
    query = "SELECT 1 FROM push_schedule WHERE due_at <= ? LIMIT 1"
    return connection.execute(query, (now,)).fetchone() is not None


def _read(
    connection: sqlite3.Connection, app_id: str, device_id: str, attempts: int, *, until: float
) -> DuePush:
    rows = connection.execute(_NOTICES, (app_id, device_id)).fetchall()
    handle = _Handle(rows[-1][0] if rows else 0, until)
    notices = tuple(_decode(notice) for _, notice in rows)
    return DuePush(app_id, device_id, notices, attempts, msgspec.json.encode(handle).decode())


def _reschedule(
    connection: sqlite3.Connection,
    device: tuple[str, str],
    attempts: int,
    handle: _Handle | None,
    again_at: float | None,
) -> None:
    """Set the attempts, and the time if the lease is the last one that was set."""
    connection.execute(
        "UPDATE push_schedule SET attempts = ? WHERE app_id = ? AND device_id = ?",
        (attempts, *device),
    )
    if handle is None:
        return
    if again_at is None:
        connection.execute(
            "DELETE FROM push_schedule WHERE app_id = ? AND device_id = ? AND due_at = ?",
            (*device, handle.until),
        )
    else:
        connection.execute(
            "UPDATE push_schedule SET due_at = ? WHERE app_id = ? AND device_id = ? AND due_at = ?",
            (again_at, *device, handle.until),
        )
