"""The database in one LMDB file, which the processes of one machine may share."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import lmdb

from nexxus.domain.filter_matcher import compile_matcher, is_missing
from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.errors import ModelNotFound, ServiceUnavailable, StartupError
from nexxus.interfaces.database import Database, Mutation, Query, Record, SortKey
from nexxus.toolkit.batching import Batcher
from nexxus_lmdb.settings import LmdbSettings
from nexxus_lmdb.tables import NAMES, Tables

T = TypeVar("T")

_LARGEST_BATCH = 64
"""Commits that share one transaction, and so one write to the disk."""


class LmdbDatabase(Database):
    """Compares and sets within LMDB's write transactions, of which there is one at a time."""

    is_atomic: ClassVar[bool] = True

    def __init__(self, settings: LmdbSettings, *, data_dir: Path) -> None:
        self._path = data_dir / settings.path
        self._map_size = settings.map_size * 1024 * 1024
        self._environment: lmdb.Environment | None = None
        self._is_open = False
        self._handles: dict[str, Any] = {}
        self._running: set[asyncio.Future[Any]] = set()
        self._commits: Batcher[Sequence[Mutation], list[bool] | ModelNotFound] = Batcher(
            self._commit_together, largest=_LARGEST_BATCH
        )

    async def open(self) -> None:
        try:
            await asyncio.to_thread(self._open)
        except (OSError, lmdb.Error) as error:
            raise StartupError(
                f"{self._path} cannot be opened: {error}; correct database.path or restore a backup"
            ) from error

    async def close(self) -> None:
        self._is_open = False  # what was asked for before is finished
        while self._running:
            await asyncio.wait(self._running)
        environment, self._environment = self._environment, None
        if environment is not None:
            await asyncio.to_thread(environment.close)

    async def ping(self) -> None:
        self._check_open()

    async def prepare(self, app_id: str, models: Sequence[ModelType]) -> None:
        stored = {model.name: list(model.filterable) for model in models if not model.transient}

        def prepare(tables: Tables) -> None:
            for name, paths in stored.items():
                tables.prepare(app_id, name, paths)

        await self._finish(self._write(prepare))

    async def drop(self, app_id: str) -> None:
        await self._finish(self._write(lambda tables: tables.drop(app_id)))

    async def load(self, keys: Sequence[ObjectKey]) -> list[Record | None]:
        self._check_open()
        return self._read(lambda tables: [tables.get(key) for key in keys])

    async def commit(self, mutations: Sequence[Mutation]) -> list[bool]:
        (outcome,) = await self._finish(self._commits.ask([mutations]))
        if isinstance(outcome, ModelNotFound):
            raise outcome
        return outcome

    async def search(self, query: Query) -> list[Document]:
        def search(tables: Tables) -> list[Document]:
            return _search(tables, query)

        return await self._finish(asyncio.to_thread(self._read, search))

    async def count(self, app_id: str, model: ModelType, filter: Filter = EVERYTHING) -> int:
        def count(tables: Tables) -> int:
            _require_prepared(tables, app_id, model)
            matches = compile_matcher(filter)
            return sum(map(matches, tables.documents(app_id, model.name)))

        return await self._finish(asyncio.to_thread(self._read, count))

    async def purge(self, deleted_before: int) -> int:
        return await self._finish(self._write(lambda tables: tables.purge(deleted_before)))

    # Transactions

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        environment = lmdb.open(
            str(self._path), subdir=False, mode=0o600, map_size=self._map_size, max_dbs=len(NAMES)
        )
        self._handles = {name: environment.open_db(name.encode()) for name in NAMES}
        self._environment = environment
        self._is_open = True

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which is finished even if the caller is cancelled or the file closed."""
        if not self._is_open:
            work.close()
        self._check_open()
        running = asyncio.ensure_future(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    def _read(self, work: Callable[[Tables], T]) -> T:
        try:
            with self._begin() as transaction:
                return work(Tables(transaction, self._handles))
        except lmdb.Error as error:
            raise ServiceUnavailable(f"{self._path} cannot be read: {error}") from error

    async def _write(self, work: Callable[[Tables], T]) -> T:
        """Run `work` in a transaction; durable on return."""
        return await asyncio.to_thread(self._transact, work)

    def _transact(self, work: Callable[[Tables], T]) -> T:
        try:
            with self._begin(write=True) as transaction:
                return work(Tables(transaction, self._handles))
        except lmdb.MapFullError as error:
            raise ServiceUnavailable(
                f"{self._path} has reached its largest size; raise database.map_size"
            ) from error
        except lmdb.Error as error:
            raise ServiceUnavailable(f"{self._path} cannot be written: {error}") from error

    async def _commit_together(
        self, commits: Sequence[Sequence[Mutation]]
    ) -> Sequence[list[bool] | ModelNotFound]:
        return await self._write(lambda tables: [_commit(tables, each) for each in commits])

    def _begin(self, *, write: bool = False) -> lmdb.Transaction:
        if self._environment is None:
            raise ServiceUnavailable("the database is not open")
        return self._environment.begin(write=write)

    def _check_open(self) -> None:
        if not self._is_open:
            raise ServiceUnavailable("the database is not open")


def _commit(tables: Tables, mutations: Sequence[Mutation]) -> list[bool] | ModelNotFound:
    """Apply the mutations of one caller. A refusal is returned: others share the transaction."""
    for key in {(each.key.app_id, each.key.type) for each in mutations}:
        if tables.paths(*key) is None:
            return ModelNotFound(f"{key[1]!r} is not stored here")
    return [_compare_and_set(tables, mutation) for mutation in mutations]


def _compare_and_set(tables: Tables, mutation: Mutation) -> bool:
    stored, expected = tables.get(mutation.key), mutation.expected
    if (stored and stored.version) != (expected and expected.version):
        return False
    tables.put(mutation.key, mutation.record)
    return True


def _search(tables: Tables, query: Query) -> list[Document]:
    _require_prepared(tables, query.app_id, query.model, *(key.path for key in query.sort))
    matches = compile_matcher(query.filter)
    after = None if query.after is None else _place(query.sort, query.after)
    found = [
        (_place(query.sort, query.place_of(document)), document)
        for document in tables.documents(query.app_id, query.model.name)
        if matches(document)
    ]
    if after is not None:
        found = [each for each in found if each[0] > after]
    end = query.offset + max(query.limit, 0)
    page = heapq.nsmallest(end, found, key=lambda each: each[0])[query.offset :]
    return [document for _, document in page]


def _require_prepared(tables: Tables, app_id: str, model: ModelType, *paths: str) -> None:
    """Raise `ServiceUnavailable` for a path that `prepare` has not been called with yet."""
    prepared = tables.paths(app_id, model.name)
    if prepared is not None and (missing := {*paths, *model.filterable} - prepared):
        raise ServiceUnavailable(f"{min(missing)} is not prepared yet; try again")


class _Descending:
    """A value in descending order."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)


def _place(sort: Sequence[SortKey], values: Sequence[Any]) -> tuple[Any, ...]:
    """Return a key for sorting; missing values come last in both directions."""
    return tuple(
        (1, 0) if is_missing(value) else (0, _Descending(value) if key.descending else value)
        for key, value in zip(sort, values, strict=True)
    )
