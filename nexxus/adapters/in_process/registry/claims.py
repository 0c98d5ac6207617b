"""Claims, on disk only.

Claims that arrive together are looked up with one statement and stored with another; both run in
the writer's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nexxus.interfaces.registry import ClaimStore
from nexxus.toolkit.sqlite_engine import SqliteEngine

_TAKEN: Final = """
SELECT json_group_array(json_array(item.key, claims.value))
FROM json_each(?) AS item CROSS JOIN claims
ON claims.app_id = json_extract(item.value, '$.app_id')
AND claims.name = json_extract(item.value, '$.name')
AND claims.expires_at > json_extract(item.value, '$.now')
"""

_CLAIM: Final = """
INSERT OR REPLACE INTO claims (app_id, name, value, expires_at)
SELECT json_extract(value, '$.app_id'), json_extract(value, '$.name'),
       json_extract(value, '$.value'), json_extract(value, '$.expires_at')
FROM json_each(?)
"""


class _Claim(msgspec.Struct, frozen=True):
    """A claim as it is stored.

    `name` is a JSON text, because a key may contain any character, even NUL, at which SQLite ends
    a text; `value` is in hexadecimal.
    """

    app_id: str
    name: tuple[str, str]
    value: str
    now: float
    expires_at: float


class InProcessClaims(ClaimStore):
    """The table of claims. `clock` returns UNIX seconds."""

    def __init__(self, engine: SqliteEngine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def claim(
        self, app_id: str, scope: str, key: str, value: bytes, ttl: int
    ) -> bytes | None:
        now = self._clock()
        claim = _Claim(app_id, (scope, key), value.hex(), now, now + ttl)
        taken = await self._engine.write_together(_claim, claim)
        return None if taken is None else bytes.fromhex(taken)

    async def release(self, app_id: str, scope: str, key: str) -> None:
        name = msgspec.json.encode((scope, key)).decode()
        await self._engine.write(
            lambda connection: connection.execute(
                "DELETE FROM claims WHERE app_id = ? AND name = json(?)", (app_id, name)
            )
        )


def _claim(connection: sqlite3.Connection, claims: Sequence[_Claim]) -> list[str | None]:
    """Returns for each claim the value that was there before it, None if it was free."""
    document = msgspec.json.encode(claims).decode()
    (found,) = connection.execute(_TAKEN, (document,)).fetchone()
    on_disk = dict(msgspec.json.decode(found, type=list[tuple[int, str]]))
    won: dict[tuple[str, tuple[str, str]], _Claim] = {}
    outcomes: list[str | None] = []
    for index, claim in enumerate(claims):
        place = (claim.app_id, claim.name)
        if index in on_disk:
            outcomes.append(on_disk[index])
        elif place in won:
            outcomes.append(won[place].value)
        else:
            won[place] = claim
            outcomes.append(None)
    if won:
        connection.execute(_CLAIM, (msgspec.json.encode(list(won.values())).decode(),))
    return outcomes
