"""The database in one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nexxus.adapters.sqlite import commits
from nexxus.adapters.sqlite.dialect import SqliteDialect
from nexxus.adapters.sqlite.filling import fill_some, forget_some
from nexxus.adapters.sqlite.records import load_records
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.adapters.sqlite.tables import (
    SCHEMA,
    Table,
    adapt_table,
    analyze_table,
    drop_tables,
    finish_columns,
    read_tables,
)
from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.errors import ModelNotFound, ServiceUnavailable, StartupError
from nexxus.interfaces.database import Database, Mutation, Query, Record
from nexxus.toolkit.sql import Sql, select_count, select_page
from nexxus.toolkit.sqlite_engine import SqliteEngine

T = TypeVar("T")

_decode_documents = msgspec.json.Decoder(list[dict[str, Any]]).decode


class SqliteDatabase(Database):
    """Stores everything in one file, which belongs to this process alone."""

    is_atomic = True

    def __init__(self, settings: SqliteSettings, *, data_dir: Path) -> None:
        self._engine = SqliteEngine(
            data_dir / (settings.path or "nexxus.sqlite3"),
            synchronous="FULL" if settings.synchronous == "full" else "NORMAL",
            readers=settings.readers,
            schema=SCHEMA,
            busy_timeout=settings.busy_timeout,
        )
        self._tables: dict[tuple[str, str], Table] = {}
        self._adapting: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(self) -> None:
        await self._engine.open()
        try:
            self._tables = await self._engine.read(read_tables)
        except (ServiceUnavailable, sqlite3.Error) as error:
            # The file was opened but cannot be read, which waiting does not fix.
            await self._engine.close()
            raise StartupError(
                f"{self._engine.path} cannot be read ({error}); the file is damaged: "
                "restore a backup, or move it away"
            ) from error

    async def close(self) -> None:
        await self._engine.close()

    async def ping(self) -> None:
        await self._engine.read(
            lambda connection: connection.execute("SELECT count(*) FROM models").fetchone()
        )

    async def prepare(self, app_id: str, models: Sequence[ModelType]) -> None:
        stored = [model for model in models if not model.transient]
        async with self._adapting[app_id]:
            # From one step to the next the order of writes is what counts: those that know a
            # table as it was are executed before the next step's.
            tables = await self._engine.write(partial(_adapt, app_id=app_id, models=stored))
            self._tables.update(tables)
            for table in tables.values():
                await self._fill(table)
            finished = await self._engine.write(partial(_finish, tables=tables))
            self._tables.update(finished)
            for key, table in tables.items():
                if table.columns.filling:
                    await self._engine.write(partial(analyze_table, table=finished[key]))

    async def _fill(self, table: Table) -> None:
        number: int | None = 0 if table.columns.filling else None
        while number is not None:
            number = await self._engine.write(partial(fill_some, table=table, after=number))
        for column in table.columns.retiring:
            forget = partial(forget_some, table=table, column=column)
            while await self._engine.write(forget):
                pass

    async def drop(self, app_id: str) -> None:
        async with self._adapting[app_id]:
            # Forgotten first: no write may come after the tables are gone.
            dropped = {key: table for key, table in self._tables.items() if key[0] == app_id}
            for key in dropped:
                del self._tables[key]
            try:
                await self._engine.write(lambda connection: drop_tables(connection, app_id))
            except BaseException:
                self._tables.update(dropped)
                raise

    async def load(self, keys: Sequence[ObjectKey]) -> list[Record | None]:
        places: defaultdict[Table, list[int]] = defaultdict(list)
        for place, key in enumerate(keys):
            table = self._tables.get((key.app_id, key.type))
            if table is not None:
                places[table].append(place)
        records: list[Record | None] = [None] * len(keys)
        for table, wanted in places.items():
            ids = [keys[place].id for place in wanted]
            found = await self._read(table, partial(load_records, table=table, ids=ids))
            for index, record in (found or {}).items():
                records[wanted[index]] = record
        return records

    async def commit(self, mutations: Sequence[Mutation]) -> list[bool]:
        if not mutations:
            return []
        writes = [commits.encode(self._table_for(m.key), m) for m in mutations]
        return await self._engine.write_together(commits.apply, writes)

    async def search(self, query: Query) -> list[Document]:
        table = self._tables.get((query.app_id, query.model.name))
        if table is None or query.limit <= 0:
            return []
        page = select_page(query, SqliteDialect(table), "document")
        # All documents in one row: what costs is not a row's size but that it is one more.
        joined = "CAST('[' || ifnull(group_concat(document), '') || ']' AS BLOB)"
        found = await self._ask(table, Sql(f"SELECT {joined} FROM ({page.text})", page.values))
        return _decode_documents(found or b"[]")

    async def count(self, app_id: str, model: ModelType, filter: Filter = EVERYTHING) -> int:
        table = self._tables.get((app_id, model.name))
        if table is None:
            return 0
        return await self._ask(table, select_count(filter, SqliteDialect(table))) or 0

    async def purge(self, deleted_before: int) -> int:
        purged = await self._engine.write(partial(_purge, deleted_before=deleted_before))
        # This is the one call that comes from time to time, however long the process runs.
        for key, table in list(self._tables.items()):
            if self._tables.get(key) is table:
                await self._engine.write(partial(analyze_table, table=table))
        return purged

    def _table_for(self, key: ObjectKey) -> Table:
        table = self._tables.get((key.app_id, key.type))
        if table is None:
            raise ModelNotFound(f"the application {key.app_id!r} stores no {key.type!r}")
        return table

    async def _ask(self, table: Table, query: Sql) -> Any:
        """The one value that a query of the table answers; None where it has been dropped."""
        statement, values = SqliteDialect(table).statement(query)
        return await self._read(table, partial(_value, statement=statement, values=values))

    async def _read(self, table: Table, job: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `job` reads; None where the table has been dropped meanwhile."""
        try:
            return await self._engine.read(job)
        except sqlite3.OperationalError:
            if any(known.number == table.number for known in self._tables.values()):
                raise
            return None


def _adapt(
    connection: sqlite3.Connection, app_id: str, models: Sequence[ModelType]
) -> dict[tuple[str, str], Table]:
    return {(app_id, model.name): adapt_table(connection, app_id, model) for model in models}


def _finish(
    connection: sqlite3.Connection, tables: dict[tuple[str, str], Table]
) -> dict[tuple[str, str], Table]:
    return {key: finish_columns(connection, table) for key, table in tables.items()}


def _purge(connection: sqlite3.Connection, deleted_before: int) -> int:
    return connection.execute(
        "DELETE FROM tombstones WHERE deleted_at < ?", (deleted_before,)
    ).rowcount


def _value(connection: sqlite3.Connection, statement: str, values: Sequence[Any]) -> Any:
    return connection.execute(statement, values).fetchone()[0]
