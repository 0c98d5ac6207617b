"""Worker queues: shows how far each custom worker is behind, and removes those of removed workers.

A worker's group receives every event from the moment it is declared, whether or not a node runs the
worker. The queue of a worker that was removed from ``server.workers`` would therefore fill up, and
then block writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nexxus.errors import InvalidParameters
from nexxus.interfaces.broker import Broker, worker_group


class WorkerQueue(msgspec.Struct, frozen=True):
    """A custom worker and its backlog: roughly how many events wait for it, on all nodes."""

    name: str
    backlog: int


class WorkerQueues:
    """The queues of custom workers. `configured` are this node's ``server.workers``."""

    def __init__(self, broker: Broker, configured: Sequence[str]) -> None:
        self._broker = broker
        self._configured = configured

    async def list(self) -> list[WorkerQueue]:
        """Return the queues of the configured workers. Raises `ServiceUnavailable`."""
        return [
            WorkerQueue(name, await self._broker.depth(worker_group(name)))
            for name in self._configured
        ]

    async def remove(self, name: str) -> None:
        """Remove a worker's queue with the events in it. Does nothing if there is none.

        Raises `InvalidParameters` if the worker is configured on this node, and
        `ServiceUnavailable`. A node that still runs the worker creates the queue again.
        """
        if name in self._configured:
            raise InvalidParameters(
                f"the worker {name!r} is in server.workers of this node; remove it there on every "
                "node and restart them, then remove its queue"
            )
        await self._broker.remove(worker_group(name))
