"""The objects as a custom worker sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.worker import WorkerObjects
from nexxus.objects.queries import Paging, Selection
from nexxus.objects.reads import Reads
from nexxus.objects.writes import Accepted, Terms, Writes

_WAIT: Final = 30.0
_PAGE: Final = 1000
"""The objects per page; an application's ``maxLimit`` may be lower."""


class OwnObjects(WorkerObjects):
    """Reads and writes for a worker, without access control."""

    def __init__(self, worker: str, *, reads: Reads, writes: Writes) -> None:
        self._worker = worker
        self._reads = reads
        self._writes = writes

    async def get(self, app_id: str, type: str, id: str) -> Document:
        return await self._reads.get(self._identity(app_id), type, id)

    async def find(
        self,
        app_id: str,
        type: str,
        filter: dict[str, Any] | None = None,
        *,
        sort: Sequence[str] | None = None,
    ) -> AsyncIterator[Document]:
        cursor: str | None = None
        while True:
            paging = Paging(_PAGE, None, None if sort is None else list(sort), cursor)
            page = await self._reads.search(
                self._identity(app_id), type, Selection(filter=filter), paging
            )
            for document in page.items:
                yield document
            cursor = page.cursor
            if cursor is None:
                return

    async def create(
        self, app_id: str, type: str, fields: Document, *, key: str, user_id: str | None = None
    ) -> Document:
        identity = self._identity(app_id, user_id)
        return _stored(await self._writes.create(identity, type, fields, _terms(key)))

    async def update(
        self,
        app_id: str,
        type: str,
        id: str,
        patches: Sequence[dict[str, Any]],
        *,
        key: str,
        if_version: int | None = None,
    ) -> Document:
        return _stored(
            await self._writes.update(
                self._identity(app_id),
                type,
                id,
                patch=list(patches),
                if_version=if_version,
                terms=_terms(key),
            )
        )

    async def delete(
        self, app_id: str, type: str, id: str, *, key: str, if_version: int | None = None
    ) -> None:
        _stored(
            await self._writes.delete(
                self._identity(app_id), type, id, if_version=if_version, terms=_terms(key)
            )
        )

    def _identity(self, app_id: str, user_id: str | None = None) -> Identity:
        return Identity(app_id, user_id=user_id, worker=self._worker)


def _terms(key: str) -> Terms:
    return Terms(idempotency_key=key, wait=_WAIT)


def _stored(accepted: Accepted) -> Document:
    if accepted.stored is None:
        raise ServiceUnavailable(
            f"the write was accepted, but not stored within {_WAIT:g} s; repeat it with its key"
        )
    return accepted.stored
