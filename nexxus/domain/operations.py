"""Operations: writes on their way from the API to the writer, and their outcomes."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.patches import Patch

State: TypeAlias = Literal["queued", "applied", "rejected"]


class PatchMetadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The object that a queued patch is for."""

    app_id: str
    id: str
    type: str
    user_id: str | None = None


class QueuedPatch(Patch, frozen=True, kw_only=True):
    """A validated patch on its way to the writer."""

    metadata: PatchMetadata


class Deletion(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The object that a queued delete is for."""

    id: str
    type: str
    app_id: str
    user_id: str | None = None


class Operation(msgspec.Struct, frozen=True, rename="camel", tag_field="event"):
    """One accepted write.

    `operation_id` identifies it permanently: applying it twice changes nothing. `user_id` and
    `device_id` are the client that sent the write; the object may belong to another user. `permit`
    is a normalised filter document from access control that the object must match before (updates,
    deletes) and after the write (updates); None if nothing is restricted. `readable` is the filter
    of the objects that the client may read: an error says nothing about any other. `accepted_at` is
    in UNIX seconds. `reply_to` is the node that waits for the `Outcome`, "" for none. `is_retry`
    means that the client has sent the write before, maybe so long ago that the object no longer
    remembers it. `application_version` is the version of the application by which the API validated
    the write.
    """

    operation_id: str
    accepted_at: int
    user_id: str | None = None
    device_id: str | None = None
    permit: dict[str, Any] | None = None
    readable: dict[str, Any] | None = None
    if_version: int | None = None
    reply_to: str = ""
    is_retry: bool = False
    application_version: int = 0

    @property
    def key(self) -> ObjectKey:
        """The object that is written."""
        raise NotImplementedError


class Create(Operation, frozen=True, tag="model_created", kw_only=True):
    """Store a new object; `data` is the whole object without its version."""

    data: Document

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.data["appId"], self.data["type"], self.data["id"])


class Update(Operation, frozen=True, tag="model_updated", kw_only=True):
    """Apply all patches or none, as one version."""

    data: list[QueuedPatch]

    @property
    def key(self) -> ObjectKey:
        metadata = self.data[0].metadata
        return ObjectKey(metadata.app_id, metadata.type, metadata.id)


class Delete(Operation, frozen=True, tag="model_deleted", kw_only=True):
    """Remove an object; a tombstone keeps its version."""

    data: Deletion

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.data.app_id, self.data.type, self.data.id)


AnyOperation: TypeAlias = Create | Update | Delete


class OperationError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an operation was rejected, in wire form."""

    error: str
    message: str
    details: dict[str, Any] | None = None


class Fate(msgspec.Struct, frozen=True, rename="camel"):
    """The state of an operation, kept for 24 h for the client that sent it."""

    app_id: str
    operation_id: str
    state: State
    owner: str
    version: int | None = None
    error: OperationError | None = None


def owner_of(user_id: str | None, device_id: str | None) -> str:
    """Return the owner that may read an operation's fate and to which an idempotency key belongs.

    It is the user; without a user the device; without a token the whole application.
    """
    if user_id is not None:
        return f"user:{user_id}"
    if device_id is not None:
        return f"device:{device_id}"
    return "application"
