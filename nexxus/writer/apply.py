"""Applying one operation to one record: a decision, without I/O.

`apply_operation` returns the record and the event of an applied write, or raises the `WireError`
with which the operation is rejected. For an operation that was applied before it returns a
`Repeated`: the record remembers the operations that made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, assert_never

import msgspec

from nexxus.domain.application import Application
from nexxus.domain.events import Event, EventName
from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filter_parser import from_document
from nexxus.domain.objects import LARGEST_OBJECT, Document, ObjectKey, check_size
from nexxus.domain.operations import AnyOperation, Create, Delete, Update
from nexxus.domain.patches import apply
from nexxus.domain.schema import ModelType
from nexxus.errors import AccessDenied, ModelNotFound, VersionConflict
from nexxus.interfaces.database import Record
from nexxus.writer.memory import is_remembered, recall, remember
from nexxus.writer.replaced import put_back, replaced_values

_EVENTS: Final[Mapping[type[AnyOperation], EventName]] = {
    Create: "model_created",
    Update: "model_updated",
    Delete: "model_deleted",
}


class Applied(msgspec.Struct, frozen=True):
    """The record after a write, and the write's event."""

    record: Record
    event: Event


class Repeated(msgspec.Struct, frozen=True):
    """The operation was applied before: only its event is published again.

    `version` is the version that the operation made; the object may have a newer one.
    """

    event: Event
    version: int


def apply_operation(
    operation: AnyOperation,
    record: Record | None,
    application: Application,
    *,
    largest: int = LARGEST_OBJECT,
    committed_together: int = 1,
) -> Applied | Repeated:
    """Apply `operation` to `record`, which is None if nothing is stored, not even a tombstone.

    No update makes an object of more than `largest` bytes; the API has checked creates. The new
    record remembers what each of the last `committed_together` operations replaced.
    """
    if record is not None and is_remembered(record.memory, operation.operation_id):
        return _repeated(operation, record)
    model = application.model(operation.key.type)
    before = None if record is None or record.deleted_at is not None else record.document
    after: Document | None = None
    patches: list[dict[str, Any]] = []
    match operation:
        case Create():
            after = _create(operation, record, before, model)
        case Update():
            after, patches = _update(operation, _require(operation, before, model), model)
            check_size(after, largest)
        case Delete():
            _require(operation, before, model)
        case _:
            assert_never(operation)
    memory = remember(
        b"" if record is None else record.memory,
        operation.operation_id,
        replaced_values(before, after or {}, model),
        committed_together=committed_together,
    )
    return _applied(operation, record, before, after, patches, memory)


def _require(operation: Update | Delete, stored: Document | None, model: ModelType) -> Document:
    """Return the stored object if the operation may change it and it has the expected version."""
    key = operation.key
    if operation.permit is not None and not (stored and _permits(operation, stored, model)):
        raise AccessDenied(f"you may not change this {key.type}")
    if stored is None:
        raise ModelNotFound(f"there is no {key.type} {key.id!r}")
    if operation.if_version is not None and operation.if_version != stored["version"]:
        raise VersionConflict(
            f"{key.type} {key.id!r} does not have version {operation.if_version}; "
            "read the object again before you retry",
            _version_of(operation, stored, model),
        )
    return stored


def _create(
    operation: Create, record: Record | None, stored: Document | None, model: ModelType
) -> Document:
    if stored is not None:
        key = operation.key
        raise VersionConflict(
            f"{key.type} {key.id!r} is stored already; update it, or choose another id",
            _version_of(operation, stored, model),
        )
    # The versions of an id that is created again continue after those of its tombstone.
    return {**operation.data, "version": 1 if record is None else record.version + 1}


def _update(
    operation: Update, stored: Document, model: ModelType
) -> tuple[Document, list[dict[str, Any]]]:
    document, told = apply(operation.data, stored, model, now=operation.accepted_at)
    if not _permits(operation, document, model):
        raise AccessDenied(
            f"access control does not permit the requested state of this {operation.key.type}"
        )
    return document, told


def _applied(
    operation: AnyOperation,
    record: Record | None,
    before: Document | None,
    after: Document | None,
    patches: list[dict[str, Any]],
    memory: bytes,
) -> Applied:
    key = operation.key
    version = 1 if record is None else record.version + 1
    identified = after or before or {}
    following = Record(
        document=after if after is not None else _identity(key, identified),
        version=version,
        deleted_at=operation.accepted_at if after is None else None,
        memory=memory,
        token=None if record is None else record.token,
    )
    event = Event(
        event=_EVENTS[operation.__class__],
        app_id=key.app_id,
        type=key.type,
        id=key.id,
        version=version,
        before=before,
        after=after,
        patches=patches,
        user_id=identified.get("userId"),
        operation_id=operation.operation_id,
    )
    return Applied(following, event)


def _repeated(operation: AnyOperation, record: Record) -> Repeated:
    """Return the version that a remembered operation made, with its event for a second time.

    The event carries the current object or its deletion: a client that already has this version
    ignores it. It also carries the object before the operation, for the channels that the object
    has left. If that is no longer remembered, a later operation was announced, so this one was
    announced as well.
    """
    key = operation.key
    gone = record.deleted_at is not None
    memory = recall(record.memory)
    # Each remembered operation made one version; the last one made the current version.
    since = len(memory.operations) - 1 - memory.operations.index(operation.operation_id)
    first = len(memory.replaced) - 1 - since
    event = Event(
        event=_EVENTS[Delete if gone else operation.__class__],
        app_id=key.app_id,
        type=key.type,
        id=key.id,
        version=record.version,
        before=put_back(record.document, memory.replaced[max(first, 0) :]),
        after=None if gone else record.document,
        user_id=record.document.get("userId"),
        operation_id=operation.operation_id,
        repeated=True,
    )
    return Repeated(event, record.version - since)


def _identity(key: ObjectKey, document: Document) -> Document:
    identity = {"id": key.id, "type": key.type, "appId": key.app_id}
    if "userId" in document:
        identity["userId"] = document["userId"]
    return identity


def _version_of(
    operation: AnyOperation, stored: Document, model: ModelType
) -> dict[str, Any] | None:
    """Return the details of a conflict: the version, if the client may read the object."""
    if operation.readable is not None and not _matches(operation.readable, stored, model):
        return None
    return {"version": stored["version"]}


def _permits(operation: Update | Delete, document: Document, model: ModelType) -> bool:
    return operation.permit is None or _matches(operation.permit, document, model)


def _matches(filter: dict[str, Any], document: Document, model: ModelType) -> bool:
    return compile_matcher(from_document(filter, model))(document)
