"""As much of a database as filters and pages need, over PostgreSQL, from the toolkit's parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import asyncpg
import msgspec
from postgres_dialects import (
    JsonColumn,
    TypedColumns,
    column_type,
    search_document,
    stored,
)

from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.interfaces.database import Database, Mutation, Query, Record
from nexxus.toolkit.sql import (
    Column,
    Columns,
    ColumnState,
    Sql,
    plan_columns,
    select_count,
    select_page,
)

Way: TypeAlias = Literal["typed", "jsonb"]


class FilteringPostgres(Database):
    """Stores new objects, and finds, counts and drops them. It keeps no promise beyond that."""

    def __init__(self, url: str, way: Way) -> None:
        self._url = url
        self._way = way
        self._dialects: dict[tuple[str, str], TypedColumns | JsonColumn] = {}
        self._columns: dict[tuple[str, str], Columns] = {}

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(self._url, min_size=1, max_size=2)

    async def close(self) -> None:
        await self._pool.close()

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def prepare(self, app_id: str, models: Sequence[ModelType]) -> None:
        for model in models:
            name = f'"{app_id}:{model.name}"'
            key = app_id, model.name
            if self._way == "jsonb":
                self._dialects[key] = JsonColumn(name, model)
                layout = "search jsonb"
            else:
                types = {p: column_type(f) for p, f in model.filterable.items() if p != "id"}
                plan = plan_columns(Columns([]), types)
                columns = Columns(
                    [
                        Column(number, path, kind, ColumnState.READY)
                        for number, (path, kind) in enumerate(plan.added.items())
                    ]
                )
                self._columns[key] = columns
                self._dialects[key] = TypedColumns(name, model, columns)
                layout = ", ".join(f"{column.name} {column.type}" for column in columns.written)
            await self._pool.execute(
                f'CREATE TABLE {name} (id text COLLATE "C" PRIMARY KEY, document bytea, {layout})'
            )

    async def drop(self, app_id: str) -> None:
        for key, dialect in list(self._dialects.items()):
            if key[0] == app_id:
                del self._dialects[key]
                await self._pool.execute(f"DROP TABLE {dialect.table}")

    async def load(self, keys: Sequence[ObjectKey]) -> list[Record | None]:
        raise NotImplementedError

    async def commit(self, mutations: Sequence[Mutation]) -> list[bool]:
        for mutation in mutations:
            document = mutation.record.document
            key = mutation.key.app_id, mutation.key.type
            dialect = self._dialects[key]
            values: list[Any]
            if self._way == "jsonb":
                values = [json.dumps(search_document(document, dialect.model))]
            else:
                values = [stored(column.read(document)) for column in self._columns[key].written]
            marks = ", ".join(f"${n}" for n in range(1, len(values) + 3))
            await self._pool.execute(
                f"INSERT INTO {dialect.table} VALUES ({marks})",
                mutation.key.id,
                msgspec.json.encode(document),
                *values,
            )
        return [True] * len(mutations)

    async def search(self, query: Query) -> list[Document]:
        dialect = self._dialects[query.app_id, query.model.name]
        rows = await self._ask(self._pool.fetch, dialect, select_page(query, dialect, "document"))
        return [msgspec.json.decode(row["document"]) for row in rows]

    async def count(self, app_id: str, model: ModelType, filter: Filter = EVERYTHING) -> int:
        dialect = self._dialects[app_id, model.name]
        count: int = await self._ask(self._pool.fetchval, dialect, select_count(filter, dialect))
        return count

    async def purge(self, deleted_before: int) -> int:
        raise NotImplementedError

    async def _ask(
        self, ask: Callable[..., Any], dialect: TypedColumns | JsonColumn, sql: Sql
    ) -> Any:
        statement, values = dialect.statement(sql)
        return await ask(statement, *values)
