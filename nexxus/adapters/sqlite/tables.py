"""Tables: the table of each model's objects, and the column of each path.

A model of an application has a table ``objects_<n>`` with a column ``c<m>`` per filterable path;
the numbers are given out by the tables ``models`` and ``columns``, so that no name of a model or
a field ever becomes an SQL identifier (SQLite takes ``Title`` and ``title`` for one). A model
with filterable arrays has their elements in ``elements_<n>``.

A column's life is that of `nexxus.toolkit.sql.columns`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from nexxus.domain.schema import Kind, ModelType
from nexxus.errors import InvalidParameters
from nexxus.toolkit.sql import Column, Columns, ColumnState, plan_columns

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS models (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        app_id TEXT NOT NULL,
        name TEXT NOT NULL,
        UNIQUE (app_id, name)
    )""",
    """CREATE TABLE IF NOT EXISTS columns (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        model INTEGER NOT NULL,
        path TEXT NOT NULL,
        type TEXT NOT NULL,
        state TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS columns_by_model ON columns (model)",
    """CREATE TABLE IF NOT EXISTS tombstones (
        model INTEGER NOT NULL,
        id TEXT NOT NULL,
        version INTEGER NOT NULL,
        deleted_at INTEGER NOT NULL,
        memory BLOB NOT NULL,
        document BLOB NOT NULL,
        PRIMARY KEY (model, id)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS tombstones_by_age ON tombstones (deleted_at)",
)

MAX_COLUMNS: Final = 1900
"""SQLite's tables end at 2,000 columns."""

ROWS_ANALYZED: Final = 400
"""Per index; SQLite's documentation recommends 100 to 1,000."""


class ColumnType(StrEnum):
    """What a column holds. It has no type for SQLite: every value stays of its storage class."""

    VALUE = "value"
    LENGTH = "length"
    """That of an array, whose elements are in the table of elements."""


class Table:
    """The table of one model at one time; immutable, and replaced by a later one."""

    def __init__(self, number: int, columns: Columns) -> None:
        self.number = number
        self.columns = columns
        self.objects = f"objects_{number}"
        self.elements = f"elements_{number}"
        self.lists = tuple(c for c in columns.written if c.type == ColumnType.LENGTH)


def read_tables(connection: sqlite3.Connection) -> dict[tuple[str, str], Table]:
    """Every table there is, by application and model."""
    models = connection.execute("SELECT number, app_id, name FROM models").fetchall()
    return {(app_id, name): read_table(connection, number) for number, app_id, name in models}


def read_table(connection: sqlite3.Connection, number: int) -> Table:
    """The table of that number."""
    rows = connection.execute(
        "SELECT number, path, type, state FROM columns WHERE model = ? ORDER BY number", (number,)
    )
    columns = [Column(column, path, kind, ColumnState(state)) for column, path, kind, state in rows]
    return Table(number, Columns(columns))


def adapt_table(connection: sqlite3.Connection, app_id: str, model: ModelType) -> Table:
    """Give `model` a table with a column for every filterable path.

    New columns of a table that has objects are *filling*, those that are of no use any more
    *retiring*.
    """
    found = connection.execute(
        "SELECT number FROM models WHERE app_id = ? AND name = ?", (app_id, model.name)
    ).fetchone()
    wanted = {
        path: ColumnType.LENGTH if field.kind is Kind.ARRAY else ColumnType.VALUE
        for path, field in model.filterable.items()
        if path != "id"
    }
    if len(wanted) > MAX_COLUMNS:
        raise InvalidParameters(
            f"schema.{model.name}: SQLite holds at most {MAX_COLUMNS} filterable fields per model"
        )
    if found is None:
        return _create_table(connection, app_id, model.name, wanted)
    (number,) = found
    table = read_table(connection, number)
    plan = plan_columns(table.columns, wanted)
    for column in plan.retired:
        connection.execute(f"DROP INDEX IF EXISTS index_{column.number}")
        _set_state(connection, column, ColumnState.RETIRING)
    for column, path in plan.reused:
        connection.execute("UPDATE columns SET path = ? WHERE number = ?", (path, column.number))
        _set_state(connection, column, ColumnState.FILLING)
    for path, kind in plan.added.items():
        name = _insert_column(connection, number, path, kind)
        connection.execute(f"ALTER TABLE {table.objects} ADD COLUMN {name}")
    return read_table(connection, number)


def finish_columns(connection: sqlite3.Connection, table: Table) -> Table:
    """Declare the filling columns ready: they are complete by now."""
    (age,) = (column.name for column in table.columns.written if column.path == "createdAt")
    for column in table.columns.filling:
        # What is filtered by one value is mostly asked for in the default order.
        levels = [column.name, "id"]
        if column.path not in ("createdAt", "updatedAt"):
            levels.insert(1, age)
        connection.execute(
            f"CREATE INDEX index_{column.number} ON {table.objects} ({', '.join(levels)})"
        )
        _set_state(connection, column, ColumnState.READY)
    for column in table.columns.retiring:
        _set_state(connection, column, ColumnState.UNUSED)
    return read_table(connection, table.number)


def analyze_table(connection: sqlite3.Connection, table: Table) -> None:
    """Update the planner's statistics of a table.

    This takes milliseconds, but more with a thousand tables, because SQLite then reads the
    statistics of all tables again. So empty tables are skipped.
    """
    if connection.execute(f"SELECT 1 FROM {table.objects} LIMIT 1").fetchone() is None:
        return
    connection.execute(f"PRAGMA analysis_limit = {ROWS_ANALYZED}")
    connection.execute(f"ANALYZE {table.objects}")
    connection.execute(f"ANALYZE {table.elements}")


def drop_tables(connection: sqlite3.Connection, app_id: str) -> None:
    """Remove all tables of an application with everything in them."""
    rows = connection.execute("SELECT number FROM models WHERE app_id = ?", (app_id,)).fetchall()
    for (number,) in rows:
        connection.execute(f"DROP TABLE objects_{number}")
        connection.execute(f"DROP TABLE elements_{number}")
        connection.execute("DELETE FROM tombstones WHERE model = ?", (number,))
        connection.execute("DELETE FROM columns WHERE model = ?", (number,))
    connection.execute("DELETE FROM models WHERE app_id = ?", (app_id,))


def _create_table(
    connection: sqlite3.Connection, app_id: str, name: str, wanted: Mapping[str, str]
) -> Table:
    """Create a table with a column for each of the `wanted` paths, of the type given there."""
    cursor = connection.execute("INSERT INTO models (app_id, name) VALUES (?, ?)", (app_id, name))
    number = cursor.lastrowid
    assert number is not None
    # All at once: SQLite reads the schema of all tables again for each column that is added later.
    columns = [_insert_column(connection, number, path, kind) for path, kind in wanted.items()]
    connection.execute(
        f"""CREATE TABLE objects_{number} (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            version INTEGER NOT NULL,
            memory BLOB NOT NULL,
            document BLOB NOT NULL
            {"".join(f", {column}" for column in columns)}
        )"""
    )
    connection.execute(
        f"""CREATE TABLE elements_{number} (
            "column" INTEGER NOT NULL,
            value NOT NULL,
            object INTEGER NOT NULL,
            PRIMARY KEY ("column", value, object)
        ) WITHOUT ROWID"""
    )
    connection.execute(f"CREATE INDEX elements_{number}_by_object ON elements_{number} (object)")
    return read_table(connection, number)


def _insert_column(connection: sqlite3.Connection, model: int, path: str, type: str) -> str:
    """Note a new column of a model; returns its name, which is its whole definition."""
    cursor = connection.execute(
        "INSERT INTO columns (model, path, type, state) VALUES (?, ?, ?, ?)",
        (model, path, type, ColumnState.FILLING),
    )
    return f"c{cursor.lastrowid}"


def _set_state(connection: sqlite3.Connection, column: Column, state: ColumnState) -> None:
    connection.execute("UPDATE columns SET state = ? WHERE number = ?", (state, column.number))
