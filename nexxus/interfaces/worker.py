"""Custom workers: plugins that act on events, such as to send mails, call webhooks or derive
objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from nexxus.domain.events import Event
from nexxus.domain.objects import Document
from nexxus.interfaces.logger import Logger

LONGEST_RETRY: Final = 900.0
"""The maximum of `Failed.retry_after` in seconds: brokers take back messages that are held
longer."""


class WorkerObjects(Protocol):
    """The objects of all applications, without access control.

    Methods raise the `nexxus.errors.WireError` that the HTTP API would answer with, such as
    `ModelNotFound` for an unknown object or model, `InvalidParameters`, or `VersionConflict`. After
    `ServiceUnavailable` a call may be repeated.

    An event may be handled more than once, so a write takes a `key`: of one worker's writes with
    the same key, only one is applied within 24 hours. A good key consists of the event's
    ``event.operation_id`` and the name of what is written.
    """

    async def get(self, app_id: str, type: str, id: str) -> Document:
        """Return a stored object."""
        ...

    def find(
        self,
        app_id: str,
        type: str,
        filter: dict[str, Any] | None = None,
        *,
        sort: Sequence[str] | None = None,
    ) -> AsyncIterator[Document]:
        """Iterate over the objects that match a FilterQuery, page by page, in a stable order."""
        ...

    async def create(
        self, app_id: str, type: str, fields: Document, *, key: str, user_id: str | None = None
    ) -> Document:
        """Create an object, owned by the user if one is given, and return it as stored.

        `fields` may have an ``id``. A transient object is pushed and returned without a version.
        """
        ...

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
        """Apply JsonPatches as one version; return the object as stored."""
        ...

    async def delete(
        self, app_id: str, type: str, id: str, *, key: str, if_version: int | None = None
    ) -> None:
        """Delete an object; return when that is stored."""
        ...


class WorkerState(Protocol):
    """Small durable values of a worker by name, such as its progress.

    All processes that run the worker share them; the last write wins. Methods raise
    `ServiceUnavailable` if the database cannot answer.
    """

    async def get(self, name: str) -> bytes | None:
        """Return a value, or None if there is none."""
        ...

    async def put(self, name: str, value: bytes) -> None:
        """Store a value of at most 64 KiB; durable on return. A name has 1 to 64 characters of
        ``A-Za-z0-9._-``. Raises `ValueError` for another name or a larger value."""
        ...

    async def delete(self, name: str) -> None:
        """Delete a value. Does nothing if there is none."""
        ...


class WorkerContext(msgspec.Struct, frozen=True):
    """What a worker gets when it is opened.

    `name` is the name by which the configuration selects it. `node` is the id of the process.
    `logger` is bound to the worker's name.
    """

    name: str
    node: str
    logger: Logger
    objects: WorkerObjects
    state: WorkerState


class Failed(NamedTuple):
    """An event that could not be handled, the error, and the seconds until the next attempt.

    Without `retry_after` the delay grows from half a second to a minute. It is at most
    `LONGEST_RETRY`. If the `error` is a `ServiceUnavailable`, this does not count as an attempt.
    """

    event: Event
    error: Exception
    retry_after: float | None = None


class Worker(ABC):
    """Handles every applied write, and every transient object, of all applications.

    Each event is delivered at least once: it comes again after a crash or a failure. The events of
    one object come in the order of their versions. Several processes may run the worker. They share
    the events by object: one object's events go to one process at a time.
    """

    models: Collection[str] | None = None
    """The models whose events the worker handles; None for all. Like the other two attributes, it
    may be set by the class or, if settings decide, by the instance before it is opened."""

    batch: int = 100
    """The largest number of events for one call of `handle`."""

    attempts: int = 10
    """How often an event is tried before it becomes a dead letter."""

    async def open(self, context: WorkerContext) -> None:  # noqa: B027 - most need none
        """Connect to what the worker needs.

        Raises `ServiceUnavailable` if that cannot be reached: `open` is called again, after a
        growing delay of at most 5 s, until it returns; the worker's events wait meanwhile. Any
        other exception is treated as a bug and ends the process.
        """

    async def close(self) -> None:  # noqa: B027 - most need none
        """Release everything. No `handle` is running, and none follows.

        Called once after an `open` that has returned, and never after one that has not.
        """

    @abstractmethod
    async def handle(self, events: Sequence[Event]) -> Sequence[Failed] | None:
        """Handle these events; return those that could not be handled.

        All others are done. A failed event comes again after its delay, followed by the later
        events of its object, even if this call has already handled them. Other objects are not
        delayed.

        An exception fails all of the events. They come again in ever smaller batches, and the last
        attempt is made alone, so that neighbours cannot cause an event to become a dead letter.

        Raise `ServiceUnavailable` if something that the worker needs cannot be reached: all of the
        events come again every 5 s until it is back, and none becomes a dead letter.

        When the process stops, this call has ``server.drain_timeout`` seconds to return and is then
        cancelled; its events come again in the next process.
        """
