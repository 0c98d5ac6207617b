"""Filling: bringing the objects that are there into columns that are new, bit by bit."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from nexxus.adapters.sqlite.commits import column_values, elements_of
from nexxus.adapters.sqlite.statements import chunks, values_of
from nexxus.adapters.sqlite.tables import Table
from nexxus.toolkit.sql import Column

OBJECTS_AT_ONCE: Final = 256
ELEMENTS_AT_ONCE: Final = 2_000
"""So many are handled in one transaction: other writes wait no longer than for these."""

_decode = msgspec.json.Decoder(list[tuple[int, dict[str, Any]]]).decode


def fill_some(connection: sqlite3.Connection, table: Table, after: int) -> int | None:
    """Fill the *filling* columns of the next objects; the last one's number, None at the end."""
    (found,) = connection.execute(
        f"""SELECT CAST('[' || group_concat('[' || number || ',' || document || ']') || ']' AS BLOB)
            FROM (SELECT number, document FROM {table.objects}
                  WHERE number > ? ORDER BY number LIMIT {OBJECTS_AT_ONCE})""",
        (after,),
    ).fetchone()
    if found is None:
        return None
    objects = _decode(found)
    names = [column.name for column in table.columns.filling]
    rows = [
        (number, *column_values(table.columns.filling, document)) for number, document in objects
    ]
    for chunk in chunks(rows, 1 + len(names)):
        settings = (f"{name} = new.column{i}" for i, name in enumerate(names, start=2))
        connection.execute(
            f"""UPDATE {table.objects} SET {", ".join(settings)}
                FROM ({values_of(chunk.count, 1 + len(names))}) AS new
                WHERE {table.objects}.number = new.column1""",
            chunk.values,
        )
    lists = [column for column in table.lists if column in table.columns.filling]
    elements = [
        (*element, number)
        for number, document in objects
        for element in elements_of(lists, document)
    ]
    for chunk in chunks(elements, 3):
        connection.execute(
            f"""INSERT OR IGNORE INTO {table.elements} ("column", value, object)
                SELECT * FROM ({values_of(chunk.count, 3)}) WHERE column1 IS NOT NULL""",
            chunk.values,
        )
    return objects[-1][0]


def forget_some(connection: sqlite3.Connection, table: Table, column: Column) -> bool:
    """Remove some elements of a *retiring* column; whether there may be more."""
    cursor = connection.execute(
        f"""DELETE FROM {table.elements} WHERE ("column", value, object) IN (
            SELECT "column", value, object FROM {table.elements}
            WHERE "column" = ? LIMIT {ELEMENTS_AT_ONCE})""",
        (column.number,),
    )
    return cursor.rowcount == ELEMENTS_AT_ONCE
