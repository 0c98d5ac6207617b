"""Replies to requests about objects, over HTTP and in frames."""

from __future__ import annotations

from functools import cache
from typing import Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from nexxus.domain.objects import Document


class ReplyData(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The ``data`` of a reply."""

    def document(self) -> Document:
        """Return it as a document, without copying what is in it."""
        return {
            key: value
            for name, key in _keys_of(type(self))
            if (value := getattr(self, name)) is not UNSET
        }


class Created(ReplyData, frozen=True, kw_only=True):
    """An accepted create; for a transient object there is no operation."""

    id: str
    type: str
    operation_id: str | UnsetType = UNSET


class QueuedOperation(ReplyData, frozen=True, kw_only=True):
    """An accepted write."""

    operation_id: str


class Items(ReplyData, frozen=True, kw_only=True):
    """Objects; `cursor` is present if more follow."""

    items: list[Document]
    cursor: str | UnsetType = UNSET


class Count(ReplyData, frozen=True, kw_only=True):
    """A number of objects."""

    count: int


class ChannelPage(ReplyData, frozen=True, kw_only=True):
    """A channel and its first page; with `getOnly` only the page.

    `cursor` is present if more objects follow; it continues a search with the same descriptor.
    """

    channel_id: str | UnsetType = UNSET
    items: list[Document]
    cursor: str | UnsetType = UNSET


class Channel(ReplyData, frozen=True, kw_only=True):
    """The channel that was unsubscribed from."""

    channel: str


D = TypeVar("D", bound=ReplyData, covariant=True)


class Reply(NamedTuple, Generic[D]):
    """An answer: the HTTP status and its data.

    `operation_id` names the write, if it is one that will be stored, and is empty otherwise.
    """

    status: int
    data: D
    operation_id: str


class StoredReply(NamedTuple):
    """The answer to a write whose caller waited until it was stored.

    `document` is the object as it is stored, of a deleted one its id, type and version.
    """

    status: int
    document: Document
    operation_id: str


@cache
def _keys_of(kind: type[ReplyData]) -> list[tuple[str, str]]:
    return [(field.name, field.encode_name) for field in msgspec.structs.fields(kind)]
