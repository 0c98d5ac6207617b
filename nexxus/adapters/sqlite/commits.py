"""Commits: many compare-and-sets, of many callers, as few statements.

What does not need the database (encoding, columns) happens in `encode`, in the caller's thread.
`apply` then reads the versions of all keys, judges in memory, in the order of the calls, and
writes what is left standing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import msgspec

from nexxus.adapters.sqlite.statements import chunks, values_of
from nexxus.adapters.sqlite.tables import Table
from nexxus.adapters.sqlite.values import ColumnValue, column_value
from nexxus.domain.objects import Document
from nexxus.interfaces.database import Mutation
from nexxus.toolkit.sql import Column

Rows: TypeAlias = Sequence[tuple[Any, ...]]
Key: TypeAlias = tuple[int, str]
"""A table's number and an object's id."""

_encode = msgspec.json.Encoder().encode


class EncodedMutation(NamedTuple):
    """A mutation, ready to be stored: `row` is that of the object or of the tombstone."""

    table: Table
    id: str
    expected: int
    version: int
    is_delete: bool
    row: tuple[Any, ...]
    elements: list[tuple[int, ColumnValue]]


def encode(table: Table, mutation: Mutation) -> EncodedMutation:
    """The write that a mutation of one of `table`'s objects asks for."""
    record = mutation.record
    expected = 0 if mutation.expected is None else mutation.expected.version
    object_id = mutation.key.id
    document = _encode(record.document)
    row: tuple[Any, ...]
    if record.deleted_at is not None:
        row = (
            table.number,
            object_id,
            record.version,
            record.deleted_at,
            record.memory,
            document,
        )
        return EncodedMutation(table, object_id, expected, record.version, True, row, [])
    columns = column_values(table.columns.written, record.document)
    row = (object_id, record.version, record.memory, document, *columns)
    elements = elements_of(table.lists, record.document)
    return EncodedMutation(table, object_id, expected, record.version, False, row, elements)


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


def apply(
    connection: sqlite3.Connection, calls: Sequence[Sequence[EncodedMutation]]
) -> list[list[bool]]:
    """Execute the writes of several calls; for each, which of its writes took effect."""
    before = _read_versions(connection, calls)
    now = dict(before)
    standing: dict[Key, EncodedMutation] = {}
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
    connection: sqlite3.Connection, calls: Sequence[Sequence[EncodedMutation]]
) -> dict[Key, int]:
    """The versions stored now; a tombstone's as a negative number."""
    ids: dict[int, set[str]] = {}
    for writes in calls:
        for write in writes:
            ids.setdefault(write.table.number, set()).add(write.id)
    versions = {}
    for number, keys in ids.items():
        for chunk in chunks([(key,) for key in keys], 1):
            (found,) = connection.execute(
                _select_versions(number, chunk.count), [*chunk.values, number]
            ).fetchone()
            for entry in (found or "").split():
                index, _, version = entry.partition(":")
                versions[number, chunk.values[int(index)]] = int(version)
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
    connection: sqlite3.Connection, standing: dict[Key, EncodedMutation], before: dict[Key, int]
) -> None:
    by_table: dict[Table, list[EncodedMutation]] = {}
    for write in standing.values():
        by_table.setdefault(write.table, []).append(write)
    for table, writes in by_table.items():
        puts = [write for write in writes if not write.is_delete]
        was = {write.id: before.get((table.number, write.id), 0) for write in writes}
        if table.lists:
            _forget_elements(connection, table, [(w.id,) for w in writes if was[w.id] > 0])
        _put(connection, table, [write.row for write in puts])
        _bury(connection, [write.row for write in writes if write.is_delete])
        _forget_objects(connection, table, [(w.id,) for w in writes if w.is_delete])
        _forget_tombstones(connection, table, [(w.id,) for w in puts if was[w.id] < 0])
        if table.lists:
            _put_elements(connection, table, [(w.id, *e) for w in puts for e in w.elements])


def _put(connection: sqlite3.Connection, table: Table, rows: Rows) -> None:
    for chunk in chunks(rows, 4 + len(table.columns.written)):
        connection.execute(_upsert(table, chunk.count), chunk.values)


@lru_cache(maxsize=1024)
def _upsert(table: Table, count: int) -> str:
    names = ["version", "memory", "document", *(c.name for c in table.columns.written)]
    return f"""
        INSERT INTO {table.objects} (id, {", ".join(names)})
        SELECT * FROM ({values_of(count, 1 + len(names))}) WHERE column1 IS NOT NULL
        ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in names)}"""


def _bury(connection: sqlite3.Connection, rows: Rows) -> None:
    for chunk in chunks(rows, 6):
        connection.execute(
            f"""INSERT OR REPLACE INTO tombstones
                SELECT * FROM ({values_of(chunk.count, 6)}) WHERE column1 IS NOT NULL""",
            chunk.values,
        )


def _forget_objects(connection: sqlite3.Connection, table: Table, ids: Rows) -> None:
    for chunk in chunks(ids, 1):
        connection.execute(
            f"DELETE FROM {table.objects} WHERE id IN ({values_of(chunk.count, 1)})", chunk.values
        )


def _forget_tombstones(connection: sqlite3.Connection, table: Table, ids: Rows) -> None:
    for chunk in chunks(ids, 1):
        connection.execute(
            f"DELETE FROM tombstones WHERE model = ? AND id IN ({values_of(chunk.count, 1)})",
            [table.number, *chunk.values],
        )


def _forget_elements(connection: sqlite3.Connection, table: Table, ids: Rows) -> None:
    for chunk in chunks(ids, 1):
        connection.execute(
            f"""DELETE FROM {table.elements} WHERE object IN (
                SELECT number FROM {table.objects} WHERE id IN ({values_of(chunk.count, 1)}))""",
            chunk.values,
        )


def _put_elements(connection: sqlite3.Connection, table: Table, rows: Rows) -> None:
    for chunk in chunks(rows, 3):
        connection.execute(
            f"""INSERT OR IGNORE INTO {table.elements} ("column", value, object)
                SELECT new.column2, new.column3, object.number
                FROM ({values_of(chunk.count, 3)}) AS new
                CROSS JOIN {table.objects} AS object ON object.id = new.column1""",
            chunk.values,
        )
