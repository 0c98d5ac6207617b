"""The interface of databases, which store objects, users and applications."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey, value_at
from nexxus.domain.schema import ModelType


class Record(msgspec.Struct, frozen=True):
    """What is stored of one object.

    `version` is also in the document. `deleted_at` (UNIX seconds) marks a tombstone, whose
    document is only the object's identity. `memory` belongs to the writer: some kilobytes at
    most, to be stored and returned unchanged. `token` belongs to the adapter, for its
    compare-and-set; it is None in a record that was not loaded.
    """

    document: Document
    version: int
    deleted_at: int | None = None
    memory: bytes = b""
    token: Any = None


class Mutation(msgspec.Struct, frozen=True):
    """Replace what is stored at `key` with `record`, if it is still `expected`.

    `expected` is the record as it was loaded, or None if nothing was stored, not even a
    tombstone.
    """

    key: ObjectKey
    expected: Record | None
    record: Record


class SortKey(msgspec.Struct, frozen=True):
    """One level of an order. Missing values come last in both directions."""

    path: str
    descending: bool = False


class Query(msgspec.Struct, frozen=True):
    """Which objects of a model, in which order, and which part of them.

    The order is total: the last sort key is always ``id``. `after` continues behind an object; it
    has one value per sort key, None for a missing one. `offset` then counts from there.
    """

    app_id: str
    model: ModelType
    filter: Filter = EVERYTHING
    sort: tuple[SortKey, ...] = (SortKey("createdAt"), SortKey("id"))
    limit: int = 10
    offset: int = 0
    after: tuple[Any, ...] | None = None

    def place_of(self, document: Document) -> tuple[Any, ...]:
        """Return the value of `after` that continues this query behind `document`."""
        return tuple(value_at(document, key.path) for key in self.sort)


class Database(ABC):
    """Stores records by `ObjectKey`, compares and sets them, and answers queries.

    Every method but `open` may be called concurrently from one event loop. Every method raises
    `nexxus.errors.ServiceUnavailable` if the storage cannot answer. Each mutation of a batch is
    then either applied or not, never in part, and `load` shows which. The caller may try again.
    """

    is_atomic: ClassVar[bool] = False
    """Whether a batch given to `commit` is made durable as one transaction: after a crash, all of
    its applied mutations are there, or none."""

    @abstractmethod
    async def open(self) -> None:
        """Connect and prepare for use.

        Raises `StartupError` for what waiting does not fix; its message names what is wrong and
        the fix. Raises `ServiceUnavailable` if a server does not answer yet; `open` may then be
        called again.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish the calls under way and release all resources. May be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the storage answers; raise `ServiceUnavailable` otherwise."""

    @abstractmethod
    async def prepare(self, app_id: str, models: Sequence[ModelType]) -> None:
        """Create the storage of these models, or adapt it to their present form.

        Reads and writes of the application continue meanwhile. When this returns, every filterable
        path of every model can be filtered and sorted by. Transient models are ignored, and models
        that are not named stay as they are. May be called any number of times; after a crash or a
        failure in the middle, calling it again completes the work.
        """

    @abstractmethod
    async def drop(self, app_id: str) -> None:
        """Remove everything of an application. Does nothing if there is nothing."""

    @abstractmethod
    async def load(self, keys: Sequence[ObjectKey]) -> list[Record | None]:
        """Return the latest committed records, tombstones included, in the order of `keys`.

        The result has None for a key that is not stored or whose model was never prepared.
        """

    @abstractmethod
    async def commit(self, mutations: Sequence[Mutation]) -> list[bool]:
        """Apply each mutation whose `expected` is still what is stored. Durable on return.

        Returns one boolean per mutation, in their order: False if another record is stored than
        expected. Records are compared by version: while an object or its tombstone is stored, its
        versions only grow. The mutations are independent of each other and their keys distinct.
        Raises `ModelNotFound` if a model was never prepared, or was dropped meanwhile.
        """

    @abstractmethod
    async def search(self, query: Query) -> list[Document]:
        """Return the matching objects, never tombstones, in the query's order.

        The result reflects every commit that returned before the call. Raises
        `ServiceUnavailable` if a path of the query was not prepared yet.
        """

    @abstractmethod
    async def count(self, app_id: str, model: ModelType, filter: Filter = EVERYTHING) -> int:
        """Return how many objects match.

        The result reflects every commit that returned before the call. Raises
        `ServiceUnavailable` if a path of the filter was not prepared yet.
        """

    @abstractmethod
    async def purge(self, deleted_before: int) -> int:
        """Remove the tombstones of deletes before that UNIX second; return how many there were."""
