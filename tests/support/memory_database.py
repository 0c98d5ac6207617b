"""A database in memory, for tests of what stands on one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from nexxus.domain.filter_matcher import compile_matcher, is_missing
from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.interfaces.database import Database, Mutation, Query, Record, SortKey

Loaded = Callable[[Sequence[ObjectKey]], Awaitable[None]]
Committing = Callable[[Sequence[Mutation]], Awaitable[None]]


async def _nothing(_: object) -> None:
    return None


class MemoryDatabase(Database):
    """Stores what it is given; any model of any application has room.

    A test may get in between: `loaded` is awaited after records were read, before the caller has
    them, and `committing` before mutations are compared and applied. Either may raise. `queries`
    are the searches that were asked for.
    """

    is_atomic = True

    def __init__(self) -> None:
        self.records: dict[ObjectKey, Record] = {}
        self.queries: list[Query] = []
        self.loaded: Loaded = _nothing
        self.committing: Committing = _nothing

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def ping(self) -> None:
        return None

    async def prepare(self, app_id: str, models: Sequence[ModelType]) -> None:
        return None

    async def drop(self, app_id: str) -> None:
        self.records = {key: each for key, each in self.records.items() if key.app_id != app_id}

    async def load(self, keys: Sequence[ObjectKey]) -> list[Record | None]:
        found = [self.records.get(key) for key in keys]
        await self.loaded(keys)
        return found

    async def commit(self, mutations: Sequence[Mutation]) -> list[bool]:
        await self.committing(mutations)
        return [self._apply(mutation) for mutation in mutations]

    def _apply(self, mutation: Mutation) -> bool:
        stored, expected = self.records.get(mutation.key), mutation.expected
        if (stored and stored.version) != (expected and expected.version):
            return False
        # As a real one does it: what the caller does to its document later changes nothing here.
        self.records[mutation.key] = msgspec.json.decode(
            msgspec.json.encode(mutation.record), type=Record
        )
        return True

    async def search(self, query: Query) -> list[Document]:
        self.queries.append(query)
        found = self._matching(query.app_id, query.model, query.filter)
        found.sort(key=lambda document: _place(query.sort, query.place_of(document)))
        if query.after is not None:
            behind = _place(query.sort, query.after)
            found = [
                document
                for document in found
                if _place(query.sort, query.place_of(document)) > behind
            ]
        return found[query.offset : query.offset + query.limit]

    async def count(self, app_id: str, model: ModelType, filter: Filter = EVERYTHING) -> int:
        return len(self._matching(app_id, model, filter))

    async def purge(self, deleted_before: int) -> int:
        gone = [
            key
            for key, record in self.records.items()
            if record.deleted_at is not None and record.deleted_at < deleted_before
        ]
        for key in gone:
            del self.records[key]
        return len(gone)

    def _matching(self, app_id: str, model: ModelType, filter: Filter) -> list[Document]:
        matches = compile_matcher(filter)
        return [
            record.document
            for key, record in self.records.items()
            if (key.app_id, key.type) == (app_id, model.name)
            and record.deleted_at is None
            and matches(record.document)
        ]


class _Descending:
    """A value whose order is the other way round."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)


def _place(sort: Sequence[SortKey], values: Sequence[Any]) -> tuple[Any, ...]:
    """Where these values stand in an order; missing ones stand last."""
    return tuple(
        (1, 0) if is_missing(value) else (0, _Descending(value) if key.descending else value)
        for key, value in zip(sort, values, strict=True)
    )
