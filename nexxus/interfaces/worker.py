"""Custom workers: a plugin's own work on events, such as mails, webhooks or derived objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from nexxus.domain.events import Event
from nexxus.domain.objects import Document
from nexxus.interfaces.logger import Logger

LONGEST_RETRY: Final = 900.0
"""Seconds that `Failed.retry_after` is at most: brokers take back what is held for long."""


class WorkerObjects(Protocol):
    """The objects of all applications, without access control.

    Methods raise the `nexxus.errors.WireError` that the HTTP API would answer with, such as
    `ModelNotFound` for an object or a model that there is not, `InvalidParameters`, or
    `VersionConflict`; and `ServiceUnavailable`, after which a call may be repeated.

    An event may be handled more than once, so a write takes a `key`: the writes of one worker with
    one key are applied once in 24 hours. A good key names the event, ``event.operation_id``, and
    what is written because of it.
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
        """Create an object, which belongs to the user if one is given; return it as stored.

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
    """A worker's own durable values by name, such as how far it got. For small ones.

    All processes that run the worker share them; the last write wins. Methods raise
    `ServiceUnavailable`.
    """

    async def get(self, name: str) -> bytes | None:
        """Return a value; None where there is none."""
        ...

    async def put(self, name: str, value: bytes) -> None:
        """Store a value of at most 64 KiB; durable on return. A name has 1 to 64 characters of
        ``A-Za-z0-9._-``. Raises `ValueError` for another name or a larger value."""
        ...

    async def delete(self, name: str) -> None:
        """Delete a value; none is no error."""
        ...


class WorkerContext(msgspec.Struct, frozen=True):
    """What a worker is given when it opens.

    `name` is the one that the configuration selects it by. `node` is the process's id. `logger` is
    bound to the worker's name.
    """

    name: str
    node: str
    logger: Logger
    objects: WorkerObjects
    state: WorkerState


class Failed(NamedTuple):
    """An event that could not be handled, why, and in how many seconds to try again.

    Without `retry_after` the delay grows from half a second to a minute. More than `LONGEST_RETRY`
    is shortened to that. With `ServiceUnavailable` as the `error`, it does not count as an attempt.
    """

    event: Event
    error: Exception
    retry_after: float | None = None


class Worker(ABC):
    """Handles every applied write, and every transient object, of all applications.

    Each event comes at least once: after a crash, or after a failure, it comes again. The events of
    one object come in the order of their versions. Several processes may run the worker; they
    share its events by object, and one object's events go to one of them at a time.
    """

    models: Collection[str] | None = None
    """The models whose events it wants; None for all. Like the other two attributes, it may be set
    by the class or, where settings decide, by the instance before it is opened."""

    batch: int = 100
    """The largest number of events for one call of `handle`."""

    attempts: int = 10
    """How often an event is tried before it becomes a dead letter."""

    async def open(self, context: WorkerContext) -> None:  # noqa: B027 - most need none
        """Connect to what the worker needs.

        Raises `ServiceUnavailable` when that is away: it is called again, after a growing delay
        of up to 5 s, until it returns; the worker's events wait meanwhile. Any other exception is
        taken for a mistake, and ends the process.
        """

    async def close(self) -> None:  # noqa: B027 - most need none
        """Release everything; no `handle` is running and none follows.

        Called once for an `open` that has returned, and never for one that has not.
        """

    @abstractmethod
    async def handle(self, events: Sequence[Event]) -> Sequence[Failed] | None:
        """Do the work for these events; return those that could not be handled.

        The others are done. A failed event comes again after its delay, and later events of its
        object come behind it, also if this call has handled them already. Other objects do not
        wait.

        An exception fails all of the events. They come again in ever smaller batches, the last
        attempt is made one by one: neighbours cannot cause an event to become a dead letter.

        Raise `ServiceUnavailable` when what the worker needs is away: all of the events come again
        every 5 s until it is back, and none becomes a dead letter.

        When the process stops, this has ``server.drain_timeout`` to return, and is cancelled then;
        its events come again to the next process.
        """
