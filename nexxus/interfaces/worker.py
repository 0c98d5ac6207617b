"""Custom workers: a plugin's own work on the writer's events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from nexxus.domain.events import Event
from nexxus.interfaces.logger import Logger


class WorkerContext(msgspec.Struct, frozen=True):
    """What a worker is given when it opens: the process's id, and a logger bound to its name."""

    node: str
    logger: Logger


class Worker(ABC):
    """Consumes every event that the writer announces, in a queue of its own.

    Each event comes at least once: after a crash, or after `handle` raised, it comes again.
    The events of one object come in the order of their versions. Several processes may run the
    worker; they share its queue, and one object's events go to one of them at a time.

    With the in-process broker, the events that wait end with the process: a stop hands them over
    first, for as long as ``server.drain_timeout`` lets it, a crash loses them.
    """

    name: ClassVar[str]
    """Names the worker in the configuration and its queue, ``worker.<name>``."""

    batch: ClassVar[int] = 100
    """Events that are handed over in one go, at most."""

    attempts: ClassVar[int] = 10
    """How often an event is tried before it is set aside as a dead letter."""

    async def open(self, context: WorkerContext) -> None:  # noqa: B027 - most need none
        """Connect to what the worker needs.

        Raises `ServiceUnavailable` when that is away: it is called again, after a growing delay
        of up to 5 s, until it returns; the worker's events wait meanwhile. Whatever else it
        raises is taken for a mistake, and ends the process.
        """

    async def close(self) -> None:  # noqa: B027 - most need none
        """Let go of everything; no `handle` is running and none follows.

        Called once for an `open` that has returned, and never for one that has not.
        """

    @abstractmethod
    async def handle(self, events: Sequence[Event]) -> None:
        """Do the work for these events; they are done with when it returns.

        Whatever it raises is logged, and all of these events come again after a growing delay,
        until they have been tried `attempts` times.

        When the process stops, it has ``server.drain_timeout`` to return, and is cancelled then:
        these events come again to the next process, where the broker outlives this one.
        """
