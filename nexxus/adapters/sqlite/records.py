"""Records: reading back what `commits` stored, tombstones included."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from nexxus.adapters.sqlite.statements import chunks
from nexxus.adapters.sqlite.tables import Table
from nexxus.interfaces.database import Record

_Row = tuple[int, int, int | None, str, dict[str, Any]]
_decode = msgspec.json.Decoder(list[_Row]).decode


def load_records(
    connection: sqlite3.Connection, table: Table, ids: Sequence[str]
) -> dict[int, Record]:
    """What is stored under `ids`, by the index in `ids`."""
    records = {}
    start = 0
    for chunk in chunks([(object_id,) for object_id in ids], 1):
        (found,) = connection.execute(
            _select_records(table.number, chunk.count), [*chunk.values, table.number]
        ).fetchone()
        for n, version, deleted_at, memory, document in _decode(found):
            records[start + n] = Record(document, version, deleted_at, bytes.fromhex(memory))
        start += len(chunk.rows)
    return records


@lru_cache(maxsize=1024)
def _select_records(number: int, count: int) -> str:
    # One statement for objects and tombstones, so that it sees them at one moment.
    return f"""
        WITH keys (n, id) AS (VALUES {", ".join(f"({n}, ?)" for n in range(count))})
        SELECT CAST('[' || ifnull(group_concat(
            '[' || n || ',' || version || ',' || deleted_at || ',"' || hex(memory) || '",'
            || document || ']'), '') || ']' AS BLOB)
        FROM (
            SELECT n, version, 'null' AS deleted_at, memory, document
            FROM keys CROSS JOIN objects_{number} AS object ON object.id = keys.id
            UNION ALL
            SELECT n, version, deleted_at, memory, document
            FROM keys CROSS JOIN tombstones AS tombstone
            ON tombstone.model = ? AND tombstone.id = keys.id
        )"""
