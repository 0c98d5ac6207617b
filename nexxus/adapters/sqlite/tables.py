"""Tables: where each model's objects lie, and which column holds which path.

A model of an application has a table ``objects_<n>`` with a column ``c<m>`` per filterable path;
the numbers are given out by the tables ``models`` and ``columns``, so that no name of a model or
a field ever becomes an SQL identifier (SQLite takes ``Title`` and ``title`` for one). A model
with filterable arrays has their elements in ``elements_<n>``.

A column's life: *filling* (every write fills it, older objects are being filled in), *ready*
(complete and indexed: queries may use it), *retiring* (no longer written), *unused* (waits to be
given to another path).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Final

from nexxus.domain.filter_matcher import Reader, compile_reader
from nexxus.domain.schema import Kind, ModelType
from nexxus.errors import InvalidParameters, ServiceUnavailable

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
        is_list INTEGER NOT NULL,
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


class State(StrEnum):
    """What may be done with a column; see above."""

    FILLING = "filling"
    READY = "ready"
    RETIRING = "retiring"
    UNUSED = "unused"


class Column:
    """A filterable path's column. For an array it holds the length."""

    def __init__(self, number: int, path: str, *, is_list: bool, state: State) -> None:
        self.number = number
        self.path = path
        self.is_list = is_list
        self.state = state
        self.name = f"c{number}"

    @cached_property
    def read(self) -> Reader:
        """Reads the path's value from a document."""
        return compile_reader(self.path)


class Table:
    """The table of one model as it is at a moment; never changed, only replaced."""

    def __init__(self, number: int, columns: Sequence[Column]) -> None:
        self.number = number
        self.objects = f"objects_{number}"
        self.elements = f"elements_{number}"
        self.columns = tuple(c for c in columns if c.state in (State.FILLING, State.READY))
        self.filling = tuple(c for c in self.columns if c.state is State.FILLING)
        self.retiring = tuple(c for c in columns if c.state is State.RETIRING)
        self.lists = tuple(c for c in self.columns if c.is_list)
        self._ready = {c.path: c for c in self.columns if c.state is State.READY}

    def column_of(self, path: str) -> Column:
        """The column to filter and sort `path` by; not for ``id``."""
        found = self._ready.get(path)
        if found is None:
            raise ServiceUnavailable(f"{path} cannot be filtered or sorted by yet; try again")
        return found

    def name_of(self, path: str) -> str:
        """The name of the column to filter and sort `path` by."""
        return "id" if path == "id" else self.column_of(path).name


def read_tables(connection: sqlite3.Connection) -> dict[tuple[str, str], Table]:
    """Every table there is, by application and model."""
    models = connection.execute("SELECT number, app_id, name FROM models").fetchall()
    return {(app_id, name): read_table(connection, number) for number, app_id, name in models}


def read_table(connection: sqlite3.Connection, number: int) -> Table:
    """The table of that number."""
    rows = connection.execute(
        "SELECT number, path, is_list, state FROM columns WHERE model = ? ORDER BY number",
        (number,),
    )
    columns = [
        Column(column, path, is_list=bool(is_list), state=State(state))
        for column, path, is_list, state in rows
    ]
    return Table(number, columns)


def adapt_table(connection: sqlite3.Connection, app_id: str, model: ModelType) -> Table:
    """Give `model` a table with a column for every filterable path.

    New columns of a table that has objects are *filling*, those that are of no use any more
    *retiring*.
    """
    found = connection.execute(
        "SELECT number FROM models WHERE app_id = ? AND name = ?", (app_id, model.name)
    ).fetchone()
    wanted = {p: f.kind is Kind.ARRAY for p, f in model.filterable.items() if p != "id"}
    if len(wanted) > MAX_COLUMNS:
        raise InvalidParameters(
            f"schema.{model.name}: SQLite holds at most {MAX_COLUMNS} filterable fields per model"
        )
    if found is None:
        return _create_table(connection, app_id, model.name, wanted)
    (number,) = found
    table = read_table(connection, number)
    kept = {c.path for c in table.columns if wanted.get(c.path) is c.is_list}
    for column in table.columns:
        if column.path not in kept:
            _retire(connection, column)
    for path, is_list in wanted.items():
        if path not in kept:
            _add_column(connection, table, path, is_list=is_list)
    return read_table(connection, number)


def finish_columns(connection: sqlite3.Connection, table: Table) -> Table:
    """Declare the filling columns ready: they are complete by now."""
    (age,) = (column.name for column in table.columns if column.path == "createdAt")
    for column in table.filling:
        # What is filtered by one value is mostly asked for in the default order.
        levels = [column.name, "id"]
        if column.path not in ("createdAt", "updatedAt"):
            levels.insert(1, age)
        connection.execute(
            f"CREATE INDEX index_{column.number} ON {table.objects} ({', '.join(levels)})"
        )
        _set_state(connection, column, State.READY)
    for column in table.retiring:
        _set_state(connection, column, State.UNUSED)
    return read_table(connection, table.number)


def analyze_table(connection: sqlite3.Connection, table: Table) -> None:
    """Let the planner know which of the columns tell objects apart.

    A matter of milliseconds; with a thousand tables, of whose statistics SQLite reads all anew, of
    many: there is nothing to learn of an empty one.
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
    connection: sqlite3.Connection, app_id: str, name: str, wanted: Mapping[str, bool]
) -> Table:
    """A new table with a column for each of the `wanted` paths, which tell whether it is a list."""
    cursor = connection.execute("INSERT INTO models (app_id, name) VALUES (?, ?)", (app_id, name))
    number = cursor.lastrowid
    assert number is not None
    # All at once: SQLite reads the schema of all tables again for each column that is added later.
    columns = [
        _insert_column(connection, number, path, is_list=is_list)
        for path, is_list in wanted.items()
    ]
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


def _insert_column(connection: sqlite3.Connection, model: int, path: str, *, is_list: bool) -> str:
    """Note a new column; its definition, for SQL.

    It has no declared type, so that every value stays of the storage class it comes in.
    """
    cursor = connection.execute(
        "INSERT INTO columns (model, path, is_list, state) VALUES (?, ?, ?, ?)",
        (model, path, is_list, State.FILLING),
    )
    return f"c{cursor.lastrowid}"


def _add_column(connection: sqlite3.Connection, table: Table, path: str, *, is_list: bool) -> None:
    reusable = connection.execute(
        "SELECT number FROM columns WHERE model = ? AND state = ?", (table.number, State.UNUSED)
    ).fetchone()
    if reusable is not None:
        connection.execute(
            "UPDATE columns SET path = ?, is_list = ?, state = ? WHERE number = ?",
            (path, is_list, State.FILLING, *reusable),
        )
        return
    column = _insert_column(connection, table.number, path, is_list=is_list)
    connection.execute(f"ALTER TABLE {table.objects} ADD COLUMN {column}")


def _retire(connection: sqlite3.Connection, column: Column) -> None:
    connection.execute(f"DROP INDEX IF EXISTS index_{column.number}")
    _set_state(connection, column, State.RETIRING)


def _set_state(connection: sqlite3.Connection, column: Column, state: State) -> None:
    connection.execute("UPDATE columns SET state = ? WHERE number = ?", (state, column.number))
