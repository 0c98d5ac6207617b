"""Sessions: on disk behind a cache, because every request reads one.

The cache is written through, in the order of the commits. It also remembers that a session does
*not* exist, so that the tokens of an ended session cause no read.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from nexxus.adapters.in_process.registry.cache import Cache
from nexxus.interfaces.registry import Session, SessionStore
from nexxus.toolkit.sqlite_engine import SqliteEngine

T = TypeVar("T")

_DECODER: Final = msgspec.json.Decoder(Session)

_FORMER: Final = """
SELECT json_group_array(json_array(item.key, sessions.id, sessions.expires_at))
FROM json_each(?) AS item CROSS JOIN sessions
ON sessions.app_id = json_extract(item.value, '$.appId')
AND sessions.device_id = json_extract(item.value, '$.deviceId')
"""

_PUT: Final = """
INSERT OR REPLACE INTO sessions
    (app_id, id, device_id, user_id, generation, expires_at, session)
SELECT json_extract(value, '$.appId'), json_extract(value, '$.id'),
       json_extract(value, '$.deviceId'), json_extract(value, '$.userId'),
       json_extract(value, '$.generation'), json_extract(value, '$.expiresAt'), value
FROM json_each(?)
"""

_ROTATE: Final = """
UPDATE sessions SET device_id = :device_id, user_id = :user_id, generation = :generation,
                    expires_at = :expires_at, session = :session
WHERE app_id = :app_id AND id = :id AND generation = :expected AND expires_at > :now
"""


class _Former(NamedTuple):
    id: str
    expires_at: float


class InProcessSessions(SessionStore):
    """The table of sessions. `clock` returns UNIX seconds."""

    def __init__(self, engine: SqliteEngine, clock: Callable[[], float], capacity: int) -> None:
        self._engine = engine
        self._clock = clock
        self._cache: Cache[tuple[str, str], Session | None] = Cache(capacity)
        self._changes: set[asyncio.Task[Any]] = set()

    @property
    def cached(self) -> int:
        """The number of cached sessions."""
        return len(self._cache)

    async def close(self) -> None:
        """Wait for the changes in progress."""
        await asyncio.gather(*self._changes, return_exceptions=True)

    async def put(self, session: Session) -> str | None:
        async def change() -> str | None:
            former = await self._engine.write_together(_put, session)
            if former is not None and former.id != session.id:
                self._cache.put((session.app_id, former.id), None)
            self._cache.put((session.app_id, session.id), session)
            if former is None or former.id == session.id or former.expires_at <= self._clock():
                return None
            return former.id

        return await self._uninterrupted(change())

    async def get(self, app_id: str, session_id: str) -> Session | None:
        self._engine.check_open()
        key = (app_id, session_id)
        session = self._cache.get(key, None)
        if session is None:
            if key in self._cache:
                return None
            session = await self._read(app_id, session_id)
            # A change that was made in the meantime is newer than what was read.
            if key in self._cache:
                session = self._cache.get(key, None)
            else:
                self._cache.put(key, session)
            if session is None:
                return None
        return session if session.expires_at > self._clock() else None

    async def rotate(self, session: Session, *, expected_generation: int) -> bool:
        parameters = {
            **msgspec.structs.asdict(session),
            "expected": expected_generation,
            "now": self._clock(),
            "session": msgspec.json.encode(session).decode(),
        }

        async def change() -> bool:
            rotated = await self._engine.write(
                lambda connection: connection.execute(_ROTATE, parameters).rowcount == 1
            )
            if rotated:
                self._cache.put((session.app_id, session.id), session)
            return rotated

        return await self._uninterrupted(change())

    async def end(self, app_id: str, session_id: str) -> Session | None:
        async def change() -> Session | None:
            rows = await self._engine.write(
                lambda connection: connection.execute(
                    "DELETE FROM sessions WHERE app_id = ? AND id = ? RETURNING session",
                    (app_id, session_id),
                ).fetchall()
            )
            self._cache.put((app_id, session_id), None)
            session = _DECODER.decode(rows[0][0]) if rows else None
            return session if session is not None and session.expires_at > self._clock() else None

        return await self._uninterrupted(change())

    async def of_device(self, app_id: str, device_id: str) -> Session | None:
        now = self._clock()
        row = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT session FROM sessions "
                "WHERE app_id = ? AND device_id = ? AND expires_at > ?",
                (app_id, device_id, now),
            ).fetchone()
        )
        return None if row is None else _DECODER.decode(row[0])

    async def of_user(self, app_id: str, user_id: str) -> list[Session]:
        now = self._clock()
        rows = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT session FROM sessions WHERE app_id = ? AND user_id = ? AND expires_at > ?",
                (app_id, user_id, now),
            ).fetchall()
        )
        return [_DECODER.decode(row[0]) for row in rows]

    async def end_of_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """End the sessions of devices."""
        devices = msgspec.json.encode(list(device_ids)).decode()

        async def change() -> None:
            rows = await self._engine.write(
                lambda connection: connection.execute(
                    "DELETE FROM sessions WHERE app_id = ? "
                    "AND device_id IN (SELECT value FROM json_each(?)) RETURNING id",
                    (app_id, devices),
                ).fetchall()
            )
            for (session_id,) in rows:
                self._cache.put((app_id, session_id), None)

        await self._uninterrupted(change())

    def forget(self, app_id: str) -> None:
        """Remove an application's sessions from the cache."""
        self._cache.forget(lambda key: key[0] == app_id)

    async def _read(self, app_id: str, session_id: str) -> Session | None:
        row = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT session FROM sessions WHERE app_id = ? AND id = ?", (app_id, session_id)
            ).fetchone()
        )
        return None if row is None else _DECODER.decode(row[0])

    async def _uninterrupted(self, change: Coroutine[Any, Any, T]) -> T:
        """Finish a change even if its caller is cancelled: disk and cache must not differ."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)


def _put(connection: sqlite3.Connection, sessions: Sequence[Session]) -> list[_Former | None]:
    """Store sessions. Returns what each of them replaces, which may be in the same batch."""
    document = msgspec.json.encode(sessions).decode()
    (found,) = connection.execute(_FORMER, (document,)).fetchone()
    current = {
        (sessions[index].app_id, sessions[index].device_id): _Former(session_id, expires_at)
        for index, session_id, expires_at in msgspec.json.decode(found)
    }
    replaced = []
    for session in sessions:
        device = (session.app_id, session.device_id)
        replaced.append(current.get(device))
        current[device] = _Former(session.id, session.expires_at)
    connection.execute(_PUT, (document,))
    return replaced
