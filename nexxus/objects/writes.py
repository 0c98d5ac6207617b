"""Writing objects: from a client's request to an operation that the broker has accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypedDict

import msgspec

from nexxus.applications.applications import Applications
from nexxus.cluster.messages import Outcome
from nexxus.domain.access import Action
from nexxus.domain.events import Event
from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filters import EVERYTHING, Filter, to_document
from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document, ObjectKey, build_object, check_id, check_size, new_id
from nexxus.domain.operations import (
    AnyOperation,
    Create,
    Delete,
    Deletion,
    Fate,
    OperationError,
    PatchMetadata,
    QueuedPatch,
    Update,
)
from nexxus.domain.patches import Patch, parse_patches
from nexxus.errors import (
    AccessDenied,
    NotFound,
    ServiceUnavailable,
    WireError,
    from_wire,
)
from nexxus.interfaces.broker import EVENTS, WRITES, Broker, Message
from nexxus.interfaces.database import Database
from nexxus.interfaces.registry import Registry
from nexxus.objects.idempotency import Claim, IdempotencyKeys
from nexxus.objects.reads import denied, readable_rows, require, stored_model

_LONGEST_VERSION = 2**53 - 1

_DOUBT = 5.0
"""Seconds to wait for the writer's decision on a write that the API would deny."""
MAX_WAIT = 30.0
"""The maximum of ``Prefer: wait`` in seconds."""


class Accepted(msgspec.Struct, frozen=True):
    """A write that was accepted.

    `operation_id` is empty for a transient create. `stored` is the object after the write (for
    a delete ``{id, type, version}``) when the caller waited for it and it came in time.
    """

    id: str
    type: str
    operation_id: str
    stored: Document | None = None


class Terms(msgspec.Struct, frozen=True):
    """How a write is to be handled.

    With the same `idempotency_key` it is done once. `wait` is in seconds, None for not waiting.
    `on_publish` is called when the write has its place among others: every write that starts later
    is published later. It is not called for a write that is refused before that.
    """

    idempotency_key: str | None = None
    wait: float | None = None
    on_publish: Callable[[], None] | None = None


class _Origin(TypedDict):
    """The origin of an operation."""

    operation_id: str
    accepted_at: int
    user_id: str | None
    device_id: str | None
    readable: dict[str, Any] | None
    reply_to: str
    is_retry: bool
    application_version: int


class Writes:
    """Checks writes as far as the API can, and passes them to the writer."""

    def __init__(
        self,
        *,
        applications: Applications,
        database: Database,
        broker: Broker,
        registry: Registry,
        node: str,
        largest_object: int,
    ) -> None:
        self._applications = applications
        self._database = database
        self._broker = broker
        self._registry = registry
        self._keys = IdempotencyKeys(registry)
        self._node = node
        self._largest_object = largest_object
        self._waiting: dict[str, set[asyncio.Future[Outcome]]] = {}

    def settle(self, outcome: Outcome) -> None:
        """Pass the writer's outcome to the callers that wait for it."""
        for waiting in self._waiting.pop(outcome.operation_id, ()):
            if not waiting.done():
                waiting.set_result(outcome)

    async def create(
        self, identity: Identity, model_name: str, body: dict[str, Any], terms: Terms
    ) -> Accepted:
        """Create an object. A transient one is sent to its channels without being stored."""
        application = self._applications.get(identity.app_id)
        model = application.model(model_name)
        permitted = require(application, identity, Action.CREATE, model)
        document = build_object(
            model, body, app_id=application.id, user_id=identity.user_id, now=int(time.time())
        )
        if permitted != EVERYTHING and not compile_matcher(permitted)(document):
            raise denied(Action.CREATE, model)
        check_size({**document, "version": _LONGEST_VERSION}, self._largest_object)
        claim, known = await self._keys.claim(
            identity, terms.idempotency_key, document["id"], ("create", model.name, body)
        )
        document["id"] = claim.object_id
        if model.transient:
            return await self._push(identity, document, terms, is_repeated=known is not None)
        readable = readable_rows(application, identity, model)
        operation = Create(**self._origin(identity, claim, known, terms, readable), data=document)
        return await self._submit(identity, operation, terms, known, readable)

    async def update(
        self,
        identity: Identity,
        model_name: str,
        object_id: str,
        *,
        patch: Any,
        if_version: int | None,
        terms: Terms,
    ) -> Accepted:
        """Patch an object."""
        application = self._applications.get(identity.app_id)
        model = stored_model(application, model_name)
        permitted = require(application, identity, Action.UPDATE, model)
        check_id(object_id)
        patches = parse_patches(patch, model)
        claim, known = await self._keys.claim(
            identity,
            terms.idempotency_key,
            object_id,
            ("update", model.name, object_id, patch, if_version),
        )
        metadata = PatchMetadata(application.id, object_id, model.name, identity.user_id)
        readable = readable_rows(application, identity, model)
        operation = Update(
            **self._origin(identity, claim, known, terms, readable),
            permit=_as_document(permitted),
            if_version=if_version,
            data=[_queued(entry, metadata) for entry in patches],
        )
        return await self._submit(identity, operation, terms, known, readable, permitted)

    async def delete(
        self,
        identity: Identity,
        model_name: str,
        object_id: str,
        *,
        if_version: int | None,
        terms: Terms,
    ) -> Accepted:
        """Delete an object."""
        application = self._applications.get(identity.app_id)
        model = stored_model(application, model_name)
        permitted = require(application, identity, Action.DELETE, model)
        check_id(object_id)
        claim, known = await self._keys.claim(
            identity,
            terms.idempotency_key,
            object_id,
            ("delete", model.name, object_id, if_version),
        )
        readable = readable_rows(application, identity, model)
        operation = Delete(
            **self._origin(identity, claim, known, terms, readable),
            permit=_as_document(permitted),
            if_version=if_version,
            data=Deletion(object_id, model.name, application.id, identity.user_id),
        )
        return await self._submit(identity, operation, terms, known, readable, permitted)

    async def fate(self, identity: Identity, operation_id: str) -> Fate:
        """Return the fate of the caller's operation. Raises `NotFound` for any other."""
        fate = await self._registry.fates.get(identity.app_id, operation_id)
        if fate is None or fate.owner != identity.owner:
            raise NotFound(f"there is no operation {operation_id!r} of yours in the last 24 h")
        return fate

    async def _permits_present_row(self, key: ObjectKey, permitted: Filter) -> bool:
        """Return whether the object is stored, as far as is known, and the caller may change it."""
        if permitted == EVERYTHING:
            return True
        (record,) = await self._database.load([key])
        if record is None or record.deleted_at is not None:
            return False
        return compile_matcher(permitted)(record.document)

    async def _submit(
        self,
        identity: Identity,
        operation: AnyOperation,
        terms: Terms,
        known: Fate | None,
        readable: Filter,
        permitted: Filter = EVERYTHING,
    ) -> Accepted:
        """Pass the operation to the writer, unless its fate is `known`.

        A caller that waits gets the object if it is among the `readable` ones.

        If the stored object is not among the `permitted` ones, an earlier write under way may
        change this, such as the create of the object, accepted by another node. So the writer
        decides, and this call waits for its answer.
        """
        key = operation.key
        accepted = Accepted(key.id, key.type, operation.operation_id)
        if known is not None and _is_judged(known):
            return await self._answer_again(accepted, known, key, operation, terms, readable)
        wait = terms.wait
        if not await self._permits_present_row(key, permitted):
            wait = max(wait or 0.0, _DOUBT)
            operation = msgspec.structs.replace(operation, reply_to=self._node)
        waiting = None if wait is None else self._expect(operation.operation_id)
        try:
            if self._broker.is_durable:  # else the answer comes when it is settled
                fate = Fate(key.app_id, operation.operation_id, "queued", identity.owner)
                await self._registry.fates.put([fate])
            message: Message[AnyOperation] = Message(key.partition, operation)
            if terms.on_publish is not None:
                terms.on_publish()
            await self._broker.publish(WRITES, [message])
            if waiting is None or wait is None:
                return accepted
            async with asyncio.timeout(min(wait, MAX_WAIT)):
                outcome = await waiting
        except TimeoutError:
            return accepted
        finally:
            self._expect_no_more(operation.operation_id, waiting)
        if outcome.error is not None:
            if _is_answer(outcome.error, terms):
                raise _rejection(operation, outcome.error)
            return accepted
        if terms.wait is None:
            return accepted
        return msgspec.structs.replace(accepted, stored=_shown(outcome.document, readable))

    async def _answer_again(
        self,
        accepted: Accepted,
        fate: Fate,
        key: ObjectKey,
        operation: AnyOperation,
        terms: Terms,
        readable: Filter,
    ) -> Accepted:
        """Return the answer to the repetition of a write that was already judged."""
        if fate.error is not None and _is_answer(fate.error, terms):
            raise _rejection(operation, fate.error)
        if terms.wait is None:
            return accepted
        stored: Document | None = None
        if not isinstance(operation, Delete):
            (record,) = await self._database.load([key])
            if record is not None and record.deleted_at is None:
                stored = _shown(record.document, readable)
        if stored is None:  # deleted, by this write or since
            stored = {"id": key.id, "type": key.type, "version": fate.version}
        return msgspec.structs.replace(accepted, stored=stored)

    async def _push(
        self, identity: Identity, document: Document, terms: Terms, *, is_repeated: bool
    ) -> Accepted:
        """Publish a transient object. A repeated one is not published again."""
        stored = document if terms.wait is not None else None
        accepted = Accepted(document["id"], document["type"], "", stored)
        if is_repeated:
            return accepted
        event = Event(
            event="model_created",
            app_id=document["appId"],
            type=document["type"],
            id=document["id"],
            version=None,
            before=None,
            after=document,
            user_id=document.get("userId"),
            operation_id=new_id(),
        )
        message = Message(event.key.partition, event)
        if terms.on_publish is not None:
            terms.on_publish()
        try:
            await self._broker.publish(EVENTS, [message])
        except ServiceUnavailable:
            # It is not remembered anywhere: the client's retry must count as the first attempt.
            await self._keys.release(identity, terms.idempotency_key)
            raise
        return accepted

    def _expect(self, operation_id: str) -> asyncio.Future[Outcome]:
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # A set: the same operation may be waited for by a retry, too.
        self._waiting.setdefault(operation_id, set()).add(waiting)
        return waiting

    def _expect_no_more(self, operation_id: str, waiting: asyncio.Future[Outcome] | None) -> None:
        expected = self._waiting.get(operation_id)
        if expected is not None and waiting is not None:
            expected.discard(waiting)
            if not expected:
                del self._waiting[operation_id]

    def _origin(
        self,
        identity: Identity,
        claim: Claim,
        known: Fate | None,
        terms: Terms,
        readable: Filter,
    ) -> _Origin:
        return {
            "operation_id": claim.operation_id,
            "accepted_at": int(time.time()),
            "user_id": identity.user_id,
            "device_id": identity.device_id,
            "readable": _as_document(readable),
            "reply_to": "" if terms.wait is None else self._node,
            "is_retry": known is not None,
            "application_version": self._applications.version(identity.app_id),
        }


def _as_document(rows: Filter) -> dict[str, Any] | None:
    """Return a filter of access control as operations carry it; None for all rows."""
    return None if rows == EVERYTHING else to_document(rows)


def _shown(document: Document | None, readable: Filter) -> Document | None:
    """Return an object as its writer may see it: the whole, or what identifies its version."""
    if document is None or readable == EVERYTHING or compile_matcher(readable)(document):
        return document
    return {name: document[name] for name in ("id", "type", "version")}


def _queued(patch: Patch, metadata: PatchMetadata) -> QueuedPatch:
    return QueuedPatch(op=patch.op, path=patch.path, value=patch.value, metadata=metadata)


def _is_judged(fate: Fate | None) -> bool:
    """Return whether the write was made before and its fate is known."""
    return fate is not None and fate.state != "queued"


def _rejection(operation: AnyOperation, told: OperationError) -> WireError:
    error = from_wire(told.error, told.message, told.details)
    error.operation_id = operation.operation_id
    return error


def _is_answer(told: OperationError, terms: Terms) -> bool:
    """Return whether the answer must say that the write is rejected, as it does for a denial."""
    return terms.wait is not None or told.error == AccessDenied.name
