"""The database: where objects, users and applications are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType

OPERATIONS_REMEMBERED = 64
"""How many of the operations last applied to an object its record names, newest last."""

Replaced: TypeAlias = dict[str, Any]
"""Filterable values by dotted path, as they were before a write; None for a missing one."""


class Record(msgspec.Struct, frozen=True):
    """What is stored of one object.

    `version` is also in the document. `deleted_at` (UNIX seconds) marks a tombstone, whose
    document is just the identity. `replaced` has an entry for each of the newest operations:
    what it replaced, None where it made the object. `token` is the adapter's own, for its
    compare-and-set; a record that was never loaded has None.
    """

    document: Document
    version: int
    operations: tuple[str, ...] = ()
    deleted_at: int | None = None
    token: Any = None
    replaced: tuple[Replaced | None, ...] = ()


class Mutation(msgspec.Struct, frozen=True):
    """Replace what is stored at `key`, if it is still `expected`.

    `expected` is the record as loaded, None when nothing was stored, not even a tombstone.
    """

    key: ObjectKey
    expected: Record | None
    record: Record


class SortKey(msgspec.Struct, frozen=True):
    """One level of an order; missing values come last in both directions."""

    path: str
    descending: bool = False


class Query(msgspec.Struct, frozen=True):
    """Which objects of a model, in which order, and which part of them.

    The order is total: the last sort key is always ``id``. `after` continues behind an object:
    one value per sort key, None for a missing one.
    """

    app_id: str
    model: ModelType
    filter: Filter = EVERYTHING
    sort: tuple[SortKey, ...] = (SortKey("createdAt"), SortKey("id"))
    limit: int = 10
    offset: int = 0
    after: tuple[Any, ...] | None = None


class Database(ABC):
    """Stores records by `ObjectKey`, compares and sets them, and answers queries.

    Every method but `open` may be called concurrently from one event loop. Each raises
    `nexxus.errors.ServiceUnavailable` when the storage cannot answer; nothing is half done
    then: a batch's items are each applied or not, and loading tells which.
    """

    @abstractmethod
    async def open(self) -> None:
        """Connect and make ready; raises `StartupError` naming what is wrong and its mend.

        A server that is only away (not wrong) raises `ServiceUnavailable` and may be tried again.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish what was accepted and let go of everything; may be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the storage answers, else raise `ServiceUnavailable`."""

    @abstractmethod
    async def prepare(self, app_id: str, models: Sequence[ModelType]) -> None:
        """Make room for these models, or adapt what is there to their present form.

        Reads and writes of the application go on meanwhile. On return every filterable path of
        every model can be filtered and sorted by. May be called again and again; a crash in
        the middle is mended by calling it again. Models not named are left alone.
        """

    @abstractmethod
    async def drop(self, app_id: str) -> None:
        """Remove everything of an application; nothing there is fine."""

    @abstractmethod
    async def load(self, keys: Sequence[ObjectKey]) -> list[Record | None]:
        """The latest committed records, tombstones included, in the order of `keys`.

        None for what is not stored, be it that its model has no room here.
        """

    @abstractmethod
    async def commit(self, mutations: Sequence[Mutation]) -> list[bool]:
        """Apply each mutation whose `expected` still holds; durable on return.

        One boolean per mutation: False when the stored record is another than expected. A
        batch is not a transaction; its keys are distinct. Compare-and-set is by version:
        versions, tombstones' included, only grow while a record or tombstone lives. Raises
        `ModelNotFound` where a model has no room here: not prepared yet, or dropped meanwhile.
        """

    @abstractmethod
    async def search(self, query: Query) -> list[Document]:
        """The matching objects, tombstones never. Sees every commit that returned before."""

    @abstractmethod
    async def count(self, app_id: str, model: ModelType, filter: Filter = EVERYTHING) -> int:
        """How many objects match. Sees every commit that returned before."""

    @abstractmethod
    async def purge(self, deleted_before: int) -> int:
        """Forget the tombstones of deletes before that UNIX second; returns how many."""
