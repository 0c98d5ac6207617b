"""The database: where objects, users and applications are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
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

    is_atomic: ClassVar[bool] = False
    """Whether a batch given to `commit` is made durable as one transaction: after a crash, all of
    its applied mutations are there, or none."""

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
