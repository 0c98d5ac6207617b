"""Internal records of Nexxus, in the same database as the applications' objects."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from nexxus.applications.system import SYSTEM
from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.schema import ModelType
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.database import Database, Mutation, Query, Record, SortKey

_ATTEMPTS: Final = 10
_PAGE: Final = 500


class OwnRecords:
    """The records of an internal model. Call `open` before any other method.

    Documents are given without the built-in fields, and returned with them.
    """

    def __init__(self, database: Database, model: ModelType) -> None:
        self._database = database
        self._model = model

    async def open(self) -> None:
        """Prepare the database. May be called again."""
        await self._database.prepare(SYSTEM, [self._model])

    async def get(self, id: str) -> Document | None:
        """Return a stored document; None where there is none."""
        record = await self.load(id)
        return None if record is None or record.deleted_at is not None else record.document

    async def put(self, id: str, fields: Document) -> None:
        """Store a document, whatever was stored before."""
        for _ in range(_ATTEMPTS):
            mutation = self.replacement(id, await self.load(id), fields)
            if (await self._database.commit([mutation]))[0]:
                return
        raise ServiceUnavailable(f"{self._model.name} {id} is being changed elsewhere; try again")

    async def delete(self, id: str) -> bool:
        """Delete a document; return whether this call did it."""
        record = await self.load(id)
        if record is None or record.deleted_at is not None:
            return False
        gone = Record(self._identity(id), record.version + 1, deleted_at=int(time.time()))
        return (await self._database.commit([Mutation(self._key(id), record, gone)]))[0]

    async def find(
        self, filter: Filter = EVERYTHING, *, order: str = "createdAt"
    ) -> AsyncIterator[Document]:
        """Iterate over the matching documents, in ascending order of a filterable field."""
        after: tuple[Any, ...] | None = None
        sort = (SortKey(order), SortKey("id"))
        while True:
            query = Query(SYSTEM, self._model, filter, sort=sort, limit=_PAGE, after=after)
            page = await self._database.search(query)
            for document in page:
                yield document
            if len(page) < _PAGE:
                return
            after = (page[-1][order], page[-1]["id"])

    async def count(self, filter: Filter = EVERYTHING) -> int:
        """Return how many documents match."""
        return await self._database.count(SYSTEM, self._model, filter)

    async def find_all(self, ids: Collection[str]) -> list[Document]:
        """Return the documents of those ids that are stored, in the order of `ids`."""
        found = await self._database.load([self._key(each) for each in ids])
        return [r.document for r in found if r is not None and r.deleted_at is None]

    async def load(self, id: str) -> Record | None:
        """Return what is stored under an id, a tombstone too."""
        (record,) = await self._database.load([self._key(id)])
        return record

    def replacement(self, id: str, stored: Record | None, fields: Document) -> Mutation:
        """Return the mutation that replaces what was loaded as `stored`."""
        now = int(time.time())
        version = 1 if stored is None else stored.version + 1
        is_new = stored is None or stored.deleted_at is not None
        created = now if is_new or stored is None else stored.document["createdAt"]
        document = {
            **self._identity(id),
            "createdAt": created,
            "updatedAt": now,
            "version": version,
            **fields,
        }
        return Mutation(self._key(id), stored, Record(document, version))

    def _identity(self, id: str) -> Document:
        return {"id": id, "type": self._model.name, "appId": SYSTEM}

    def _key(self, id: str) -> ObjectKey:
        return ObjectKey(SYSTEM, self._model.name, id)
