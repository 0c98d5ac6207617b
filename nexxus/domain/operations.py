"""Operations: writes on their way from the API to the writer, and what became of them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.patches import Patch

State: TypeAlias = Literal["queued", "applied", "rejected"]


class PatchMetadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which object a queued patch is for."""

    app_id: str
    id: str
    type: str
    user_id: str | None = None


class QueuedPatch(Patch, frozen=True, kw_only=True):
    """A validated patch on its way to the writer."""

    metadata: PatchMetadata


class Deletion(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which object a queued delete is for."""

    id: str
    type: str
    app_id: str
    user_id: str | None = None


class Operation(msgspec.Struct, frozen=True, rename="camel", tag_field="event"):
    """One accepted write.

    `operation_id` names it for ever: applying it twice changes nothing. `user_id` and
    `device_id` are the writer's own, `user_id` not necessarily that of the object. `permit` is a
    normalised filter document that the object must match before (updates, deletes) and after
    (updates) under access control; None where nothing restricts. `accepted_at` is in UNIX
    seconds. `reply_to` is the node that waits for the `Outcome`, "" for none. `is_retry` says
    that the client has sent it before: that may be longer ago than the object remembers.
    `application_version` is that of the application by which the API has judged it.
    """

    operation_id: str
    accepted_at: int
    user_id: str | None = None
    device_id: str | None = None
    permit: dict[str, Any] | None = None
    if_version: int | None = None
    reply_to: str = ""
    is_retry: bool = False
    application_version: int = 0

    @property
    def key(self) -> ObjectKey:
        """The object that is written."""
        raise NotImplementedError


class Create(Operation, frozen=True, tag="model_created", kw_only=True):
    """Store a new object; `data` is the whole of it but for its version."""

    data: Document

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.data["appId"], self.data["type"], self.data["id"])


class Update(Operation, frozen=True, tag="model_updated", kw_only=True):
    """Apply patches, all or none, as one version."""

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
    """What became of an operation, kept 24 h for its writer."""

    app_id: str
    operation_id: str
    state: State
    owner: str
    version: int | None = None
    error: OperationError | None = None


def owner_of(user_id: str | None, device_id: str | None) -> str:
    """Who may read an operation's fate, and in whose name an idempotency key counts.

    The user; without one the device; without a token the whole application.
    """
    if user_id is not None:
        return f"user:{user_id}"
    if device_id is not None:
        return f"device:{device_id}"
    return "application"
