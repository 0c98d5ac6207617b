"""Requests about objects: their shapes, and how they are performed.

HTTP routes and WebSocket frames use the same shapes and are answered with the same replies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta

from nexxus.domain.decoding import convert
from nexxus.domain.frames import WriteEvent
from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document
from nexxus.errors import InvalidParameters
from nexxus.objects.queries import Paging, Selection
from nexxus.objects.reads import Reads
from nexxus.objects.replies import (
    Count,
    Created,
    Items,
    QueuedOperation,
    Reply,
    ReplyData,
    StoredReply,
)
from nexxus.objects.writes import Accepted, Terms, Writes

_NOW: Final = Terms()

Version = Annotated[int, Meta(ge=0, le=2**53, description="The version that the object must have.")]
Limit = Annotated[int, Meta(ge=-(2**53), le=2**53, description="At most this many objects.")]
Offset = Annotated[int, Meta(ge=-(2**53), le=2**53, description="Skip this many objects.")]
Sort = Annotated[
    list[str], Meta(description='Filterable fields; "-" in front of one for descending.')
]
Filter = Annotated[dict[str, Any], Meta(description="A FilterQuery.")]
Ignored = Annotated[Any, Meta(description="Ignored: descriptors may be reused.")]
AnyPatch = Annotated[
    dict[str, Any] | list[Any], Meta(description="A JsonPatch, or a list of them as one version.")
]


class _Request(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The keys that all requests have in common."""


class UpdateRequest(_Request, frozen=True, kw_only=True):
    """Patch an object. Keys that the path gives may be omitted from the body or repeated."""

    patch: AnyPatch
    type: str | None = None
    id: str | None = None
    if_version: Version | None = None


class DeleteRequest(_Request, frozen=True, kw_only=True):
    """Delete an object. Keys that the path gives may be omitted from the body or repeated."""

    type: str | None = None
    id: str | None = None
    if_version: Version | None = None


class SearchRequest(_Request, frozen=True, kw_only=True):
    """Ask for a page of objects; `id` and `userId` exclude each other."""

    id: str | None = None
    user_id: str | None = None
    filter: Filter | None = None
    limit: Limit | None = None
    offset: Offset | None = None
    sort: Sort | None = None
    cursor: str | None = None

    @property
    def selection(self) -> Selection:
        """The objects that it asks for."""
        return Selection(self.id, self.user_id, self.filter)

    @property
    def paging(self) -> Paging:
        """The page that it asks for."""
        return Paging(self.limit, self.offset, self.sort, self.cursor)


class CountRequest(_Request, frozen=True, kw_only=True):
    """Ask how many objects there are."""

    type: str
    user_id: str | None = None
    filter: Filter | None = None
    limit: Ignored = None
    offset: Ignored = None
    sort: Ignored = None

    @property
    def selection(self) -> Selection:
        """The objects that it asks for."""
        return Selection(user_id=self.user_id, filter=self.filter)


class SubscribeRequest(_Request, frozen=True, kw_only=True):
    """Follow a channel from its first page on; with `getOnly` only read a page of it.

    `cursor` continues after an earlier page, and needs `getOnly`.
    """

    model: str
    id: str | None = None
    user_id: str | None = None
    filter: Filter | None = None
    limit: Limit | None = None
    offset: Offset | None = None
    sort: Sort | None = None
    cursor: str | None = None
    get_only: bool = False

    @property
    def selection(self) -> Selection:
        """The objects that it asks for."""
        return Selection(self.id, self.user_id, self.filter)

    @property
    def paging(self) -> Paging:
        """The page that it asks for."""
        return Paging(self.limit, self.offset, self.sort, self.cursor)


class UnsubscribeRequest(_Request, frozen=True, kw_only=True):
    """End the subscription to the channel that this describes."""

    model: str
    id: str | None = None
    user_id: str | None = None
    filter: Filter | None = None
    limit: Ignored = None
    offset: Ignored = None
    sort: Ignored = None

    @property
    def selection(self) -> Selection:
        """The objects of the channel."""
        return Selection(self.id, self.user_id, self.filter)


FrameReply: TypeAlias = tuple[int, Document]
"""The answer to a frame: the HTTP status and its ``data``."""


class Requests:
    """Performs reads and writes of objects, and shapes the replies."""

    def __init__(self, *, reads: Reads, writes: Writes) -> None:
        self._reads = reads
        self._writes = writes

    async def write_from_frame(
        self,
        identity: Identity,
        event: WriteEvent,
        data: Any,
        on_publish: Callable[[], None] | None = None,
    ) -> FrameReply:
        """Perform the write that a frame asks for, as HTTP would.

        `data` is that of the frame: decoded, not too deep, and of JSON's types. `on_publish` is
        that of `Terms`. Raises the `WireError` that HTTP would answer with.
        """
        terms = Terms(on_publish=on_publish)
        match event:
            case "create":
                body = convert(data, dict[str, Any])
                return _of_write(await self.create(identity, None, body, terms))
            case "update":
                return _of_write(await self.update(identity, convert(data, UpdateRequest), terms))
            case "delete":
                return _of_write(await self.delete(identity, convert(data, DeleteRequest), terms))

    async def create(
        self, identity: Identity, model: str | None, body: Document, terms: Terms = _NOW
    ) -> Reply[Created] | StoredReply:
        """Create an object; without `model`, `body` names it as ``type``."""
        if model is None:
            model = body.get("type")
            if not isinstance(model, str):
                raise InvalidParameters(
                    "type: expected the name of a model", {"field": "type", "rule": "required"}
                )
        accepted = await self._writes.create(identity, model, body, terms)
        if accepted.stored is not None:
            return StoredReply(201, accepted.stored, accepted.operation_id)
        operation_id = accepted.operation_id or UNSET
        created = Created(id=accepted.id, type=accepted.type, operation_id=operation_id)
        return Reply(202, created, accepted.operation_id)

    async def update(
        self, identity: Identity, request: UpdateRequest, terms: Terms = _NOW
    ) -> Reply[QueuedOperation] | StoredReply:
        """Patch an object."""
        accepted = await self._writes.update(
            identity,
            _given("type", request.type),
            _given("id", request.id),
            patch=request.patch,
            if_version=request.if_version,
            terms=terms,
        )
        return _written(accepted)

    async def delete(
        self, identity: Identity, request: DeleteRequest, terms: Terms = _NOW
    ) -> Reply[QueuedOperation] | StoredReply:
        """Delete an object."""
        accepted = await self._writes.delete(
            identity,
            _given("type", request.type),
            _given("id", request.id),
            if_version=request.if_version,
            terms=terms,
        )
        return _written(accepted)

    async def search(self, identity: Identity, model: str, request: SearchRequest) -> Items:
        """Return a page of objects, with a cursor while more follow."""
        page = await self._reads.search(identity, model, request.selection, request.paging)
        return Items(items=page.items, cursor=UNSET if page.cursor is None else page.cursor)

    async def count(self, identity: Identity, request: CountRequest) -> Count:
        """Return how many objects match."""
        return Count(count=await self._reads.count(identity, request.type, request.selection))


def _written(accepted: Accepted) -> Reply[QueuedOperation] | StoredReply:
    if accepted.stored is not None:
        return StoredReply(200, accepted.stored, accepted.operation_id)
    queued = QueuedOperation(operation_id=accepted.operation_id)
    return Reply(202, queued, accepted.operation_id)


def _of_write(reply: Reply[ReplyData] | StoredReply) -> FrameReply:
    if isinstance(reply, StoredReply):
        return reply.status, reply.document
    return reply.status, reply.data.document()


def _given(field: str, value: str | None) -> str:
    if value is None:
        raise InvalidParameters(f"{field} is required", {"field": field, "rule": "required"})
    return value
