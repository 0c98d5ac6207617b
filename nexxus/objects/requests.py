"""Requests about objects: their shapes, and what is done with them.

Routes and WebSocket frames ask for the same things in the same words; here they meet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta

from nexxus.domain.decoding import convert
from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document
from nexxus.errors import InvalidParameters
from nexxus.objects.queries import Paging
from nexxus.objects.reads import Reads
from nexxus.objects.replies import (
    Channel,
    ChannelPage,
    Count,
    Created,
    Items,
    QueuedOperation,
    Reply,
    ReplyData,
    StoredReply,
)
from nexxus.objects.subscriptions import Subscriptions
from nexxus.objects.writes import Accepted, Terms, Writes

_NOW: Final = Terms()

Version = Annotated[int, Meta(ge=0, le=2**53, description="The version that the object must have.")]
Limit = Annotated[int, Meta(ge=-(2**53), le=2**53, description="At most this many objects.")]
Offset = Annotated[int, Meta(ge=-(2**53), le=2**53, description="Skip this many objects.")]
Sort = Annotated[
    list[str], Meta(description='Filterable fields; "-" in front of one for descending.')
]
Filter = Annotated[dict[str, Any], Meta(description="A FilterQuery.")]
AnyPatch = Annotated[
    dict[str, Any] | list[Any], Meta(description="A JsonPatch, or a list of them as one version.")
]


class _Request(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What all of them have in common."""


class UpdateRequest(_Request, frozen=True, kw_only=True):
    """Patch an object. What the path names may be left out of the body, or repeated."""

    patch: AnyPatch
    type: str | None = None
    id: str | None = None
    if_version: Version | None = None


class DeleteRequest(_Request, frozen=True, kw_only=True):
    """Delete an object. What the path names may be left out of the body, or repeated."""

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


class CountRequest(_Request, frozen=True, kw_only=True):
    """Ask how many objects there are."""

    type: str
    user_id: str | None = None
    filter: Filter | None = None


class SubscribeRequest(_Request, frozen=True, kw_only=True):
    """Follow a channel from its first page on; with `getOnly` just read the page."""

    model: str
    id: str | None = None
    user_id: str | None = None
    filter: Filter | None = None
    limit: Limit | None = None
    offset: Offset | None = None
    sort: Sort | None = None
    get_only: bool = False


class UnsubscribeRequest(_Request, frozen=True, kw_only=True):
    """End the subscription to the channel that this describes."""

    model: str
    id: str | None = None
    user_id: str | None = None
    filter: Filter | None = None


FrameReply: TypeAlias = tuple[int, Document]
"""What a frame is answered with: the HTTP status and its ``data``."""


class Requests:
    """Does what clients ask for with the objects of an application."""

    def __init__(self, *, reads: Reads, writes: Writes, subscriptions: Subscriptions) -> None:
        self._reads = reads
        self._writes = writes
        self._subscriptions = subscriptions
        self._frames: dict[str, Callable[[Identity, Any, Terms], Awaitable[FrameReply]]] = {
            "create": self._create_from_frame,
            "update": self._update_from_frame,
            "delete": self._delete_from_frame,
            "subscribe": self._subscribe_from_frame,
            "unsubscribe": self._unsubscribe_from_frame,
        }

    async def perform(
        self,
        identity: Identity,
        event: str,
        data: Any,
        on_publish: Callable[[], None] | None = None,
    ) -> FrameReply:
        """Do what a frame asks for, as HTTP would.

        `data` is the frame's, decoded and neither too deep nor of types that JSON has not.
        `on_publish` is that of a write's `Terms`; a read does not call it.
        Raises the `WireError` that HTTP would answer with.
        """
        frame = self._frames.get(event)
        if frame is None:
            known = ", ".join(self._frames)
            raise InvalidParameters(f"event: expected one of {known}", {"field": "event"})
        return await frame(identity, data, Terms(on_publish=on_publish))

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
        page = await self._reads.search(
            identity,
            model,
            id=request.id,
            user_id=request.user_id,
            filter=request.filter,
            paging=Paging(request.limit, request.offset, request.sort, request.cursor),
        )
        return Items(items=page.items, cursor=UNSET if page.cursor is None else page.cursor)

    async def count(self, identity: Identity, request: CountRequest) -> Count:
        """Return how many objects match."""
        count = await self._reads.count(
            identity, request.type, user_id=request.user_id, filter=request.filter
        )
        return Count(count=count)

    async def subscribe(self, identity: Identity, request: SubscribeRequest) -> ChannelPage:
        """Return the channel and its first page; the page alone for `get_only`."""
        subscribed = await self._subscriptions.subscribe(
            identity,
            request.model,
            id=request.id,
            user_id=request.user_id,
            filter=request.filter,
            paging=Paging(request.limit, request.offset, request.sort),
            get_only=request.get_only,
        )
        channel_id = UNSET if subscribed.channel_id is None else subscribed.channel_id
        return ChannelPage(channel_id=channel_id, items=subscribed.page.items)

    async def unsubscribe(self, identity: Identity, request: UnsubscribeRequest) -> Channel:
        """Return the channel that the device has left."""
        channel = await self._subscriptions.unsubscribe(
            identity,
            request.model,
            id=request.id,
            user_id=request.user_id,
            filter=request.filter,
        )
        return Channel(channel=channel)

    async def _create_from_frame(self, identity: Identity, data: Any, terms: Terms) -> FrameReply:
        return _of_write(await self.create(identity, None, convert(data, dict[str, Any]), terms))

    async def _update_from_frame(self, identity: Identity, data: Any, terms: Terms) -> FrameReply:
        return _of_write(await self.update(identity, convert(data, UpdateRequest), terms))

    async def _delete_from_frame(self, identity: Identity, data: Any, terms: Terms) -> FrameReply:
        return _of_write(await self.delete(identity, convert(data, DeleteRequest), terms))

    async def _subscribe_from_frame(self, identity: Identity, data: Any, _: Terms) -> FrameReply:
        page = await self.subscribe(identity, convert(data, SubscribeRequest))
        return 200, page.document()

    async def _unsubscribe_from_frame(self, identity: Identity, data: Any, _: Terms) -> FrameReply:
        channel = await self.unsubscribe(identity, convert(data, UnsubscribeRequest))
        return 200, channel.document()


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
