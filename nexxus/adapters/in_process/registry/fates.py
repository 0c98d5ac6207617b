"""Fates of operations: on disk, the newest final ones also cached."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nexxus.adapters.in_process.registry.cache import Cache
from nexxus.domain.operations import Fate
from nexxus.interfaces.registry import FateStore
from nexxus.toolkit.sqlite_engine import SqliteEngine

LIFETIME: Final = 24 * 3600
"""Seconds for which a fate is kept."""

_DECODER: Final = msgspec.json.Decoder(Fate)

_PUT: Final = """
INSERT INTO fates (app_id, operation_id, is_final, expires_at, fate)
SELECT json_extract(value, '$.fate.appId'), json_extract(value, '$.fate.operationId'),
       json_extract(value, '$.is_final'), json_extract(value, '$.expires_at'),
       json_extract(value, '$.fate')
FROM json_each(?) WHERE true
ON CONFLICT (app_id, operation_id) DO UPDATE SET
    is_final = excluded.is_final, expires_at = excluded.expires_at, fate = excluded.fate
WHERE excluded.is_final OR NOT fates.is_final
"""


class _Kept(msgspec.Struct, frozen=True, gc=False):
    fate: Fate
    expires_at: float


class _Row(msgspec.Struct, frozen=True):
    fate: Fate
    is_final: bool
    expires_at: float


class InProcessFates(FateStore):
    """The table of fates. `clock` returns UNIX seconds."""

    def __init__(self, engine: SqliteEngine, clock: Callable[[], float], capacity: int) -> None:
        self._engine = engine
        self._clock = clock
        self._recent: Cache[tuple[str, str], _Kept | None] = Cache(capacity)

    async def put(self, fates: Sequence[Fate]) -> None:
        if not fates:
            return
        expires_at = self._clock() + LIFETIME
        await self._engine.write_together(
            _put, [_Row(fate, fate.state != "queued", expires_at) for fate in fates]
        )
        for fate in fates:
            # A ``queued`` one may have been ignored, and will be replaced soon anyway.
            if fate.state != "queued":
                self._recent.put((fate.app_id, fate.operation_id), _Kept(fate, expires_at))

    async def get(self, app_id: str, operation_id: str) -> Fate | None:
        self._engine.check_open()
        now = self._clock()
        kept = self._recent.get((app_id, operation_id), None)
        if kept is not None:
            return kept.fate if kept.expires_at > now else None
        row = await self._engine.read(
            lambda connection: connection.execute(
                "SELECT fate FROM fates WHERE app_id = ? AND operation_id = ? AND expires_at > ?",
                (app_id, operation_id, now),
            ).fetchone()
        )
        return None if row is None else _DECODER.decode(row[0])

    def forget(self, app_id: str) -> None:
        """Remove an application's fates from the cache."""
        self._recent.forget(lambda key: key[0] == app_id)


def _put(connection: sqlite3.Connection, batches: Sequence[Sequence[_Row]]) -> list[None]:
    rows = [row for batch in batches for row in batch]
    connection.execute(_PUT, (msgspec.json.encode(rows).decode(),))
    return [None] * len(batches)
