"""Commits: many compare-and-sets, of many callers, as few statements.

What does not need the database (encoding, columns) happens in `encode`, in the caller's thread.
`apply` then reads the versions of all keys, judges in memory, in the order of the calls, and
writes what is left standing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from nexxus.adapters.sqlite.statements import chunks, flat, values_of
from nexxus.adapters.sqlite.tables import Column, Table
from nexxus.adapters.sqlite.values import ColumnValue, column_value
from nexxus.domain.objects import Document
from nexxus.interfaces.database import Mutation

_encode = msgspec.json.Encoder().encode


class Write(NamedTuple):
    """A mutation, ready to be stored: `row` is that of the object or of the tombstone."""

    table: Table
    id: str
    expected: int
    version: int
    is_delete: bool
    row: tuple[Any, ...]
    elements: list[tuple[int, ColumnValue]]


def encode(table: Table, mutation: Mutation) -> Write:
    """The write that a mutation of one of `table`'s objects asks for."""
    record = mutation.record
    expected = 0 if mutation.expected is None else mutation.expected.version
    object_id = mutation.key.id
    operations, document = _encode(record.operations), _encode(record.document)
    row: tuple[Any, ...]
    if record.deleted_at is not None:
        row = (table.number, object_id, record.version, record.deleted_at, operations, document)
        return Write(table, object_id, expected, record.version, True, row, [])
    columns = column_values(table.columns, record.document)
    row = (object_id, record.version, operations, document, *columns)
    elements = elements_of(table.lists, record.document)
    return Write(table, object_id, expected, record.version, False, row, elements)


def column_values(columns: Iterable[Column], document: Document) -> list[ColumnValue]:
    """What stands in `columns` for a document."""
    return [column_value(column.read(document)) for column in columns]


def elements_of(lists: Iterable[Column], document: Document) -> list[tuple[int, ColumnValue]]:
    """The elements of the document's filterable arrays, each with its column's number."""
    elements = []
    for column in lists:
        found = column.read(document)
        if found.__class__ is list:
            elements += [(column.number, column_value(item)) for item in found]
    # An element that is null equals nothing.
    return [element for element in elements if element[1] is not None]


def apply(connection: sqlite3.Connection, calls: Sequence[Sequence[Write]]) -> list[list[bool]]:
    """Execute the writes of several calls; for each, which of its writes took effect."""
    before = _read_versions(connection, calls)
    now = dict(before)
    standing: dict[tuple[int, str], Write] = {}
    results = []
    for writes in calls:
        result = []
        for write in writes:
            key = (write.table.number, write.id)
            holds = abs(now.get(key, 0)) == write.expected
            if holds:
                now[key] = write.version
                standing[key] = write
            result.append(holds)
        results.append(result)
    _store(connection, standing, before)
    return results


def _read_versions(
    connection: sqlite3.Connection, calls: Sequence[Sequence[Write]]
) -> dict[tuple[int, str], int]:
    """The versions stored now; a tombstone's as a negative number."""
    ids: dict[int, set[str]] = {}
    for writes in calls:
        for write in writes:
            ids.setdefault(write.table.number, set()).add(write.id)
    versions = {}
    for number, keys in ids.items():
        for part in chunks(list(keys), 1):
            (found,) = connection.execute(
                _select_versions(number, len(part)), (*part, number)
            ).fetchone()
            for entry in (found or "").split():
                index, _, version = entry.partition(":")
                versions[number, part[int(index)]] = int(version)
    return versions


@lru_cache(maxsize=1024)
def _select_versions(number: int, count: int) -> str:
    return f"""
        WITH keys (n, id) AS (VALUES {", ".join(f"({n}, ?)" for n in range(count))})
        SELECT group_concat(n || ':' || ifnull(object.version, -tombstone.version), ' ')
        FROM keys
        LEFT JOIN objects_{number} AS object ON object.id = keys.id
        LEFT JOIN tombstones AS tombstone ON tombstone.model = ? AND tombstone.id = keys.id
        WHERE object.version IS NOT NULL OR tombstone.version IS NOT NULL"""


def _store(
    connection: sqlite3.Connection,
    standing: dict[tuple[int, str], Write],
    before: dict[tuple[int, str], int],
) -> None:
    by_table: dict[Table, list[Write]] = {}
    for write in standing.values():
        by_table.setdefault(write.table, []).append(write)
    for table, writes in by_table.items():
        puts = [write for write in writes if not write.is_delete]
        deletes = [write for write in writes if write.is_delete]
        if table.lists:
            _forget_elements(connection, table, writes)
        _put(connection, table, puts)
        _delete(connection, table, deletes)
        returned = [w for w in puts if before.get((table.number, w.id), 0) < 0]
        _forget_tombstones(connection, table, returned)
        if table.lists:
            _put_elements(connection, table, puts)


def _put(connection: sqlite3.Connection, table: Table, writes: Sequence[Write]) -> None:
    width = 4 + len(table.columns)
    for part in chunks(writes, width):
        connection.execute(_upsert(table, len(part)), flat([write.row for write in part]))


@lru_cache(maxsize=1024)
def _upsert(table: Table, count: int) -> str:
    names = ["version", "operations", "document", *(column.name for column in table.columns)]
    return f"""
        INSERT INTO {table.objects} (id, {", ".join(names)})
        {values_of(count, 1 + len(names))}
        ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in names)}"""


def _delete(connection: sqlite3.Connection, table: Table, writes: Sequence[Write]) -> None:
    for part in chunks(writes, 6):
        connection.execute(
            f"DELETE FROM {table.objects} WHERE id IN ({values_of(len(part), 1)})",
            [write.id for write in part],
        )
        connection.execute(
            f"INSERT OR REPLACE INTO tombstones {values_of(len(part), 6)}",
            flat([write.row for write in part]),
        )


def _forget_tombstones(
    connection: sqlite3.Connection, table: Table, writes: Sequence[Write]
) -> None:
    for part in chunks(writes, 1):
        connection.execute(
            f"DELETE FROM tombstones WHERE model = ? AND id IN ({values_of(len(part), 1)})",
            [table.number, *(write.id for write in part)],
        )


def _forget_elements(connection: sqlite3.Connection, table: Table, writes: Sequence[Write]) -> None:
    for part in chunks(writes, 1):
        connection.execute(
            f"""DELETE FROM {table.elements} WHERE object IN (
                SELECT number FROM {table.objects} WHERE id IN ({values_of(len(part), 1)}))""",
            [write.id for write in part],
        )


def _put_elements(connection: sqlite3.Connection, table: Table, writes: Sequence[Write]) -> None:
    rows = [(write.id, *element) for write in writes for element in write.elements]
    for part in chunks(rows, 3):
        connection.execute(
            f"""INSERT OR IGNORE INTO {table.elements} ("column", value, object)
                SELECT new.column2, new.column3, object.number
                FROM ({values_of(len(part), 3)}) AS new
                CROSS JOIN {table.objects} AS object ON object.id = new.column1""",
            flat(part),
        )
