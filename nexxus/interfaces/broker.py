"""The broker: queues between the roles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from nexxus.cluster.messages import NodeMessage
from nexxus.domain.events import Event
from nexxus.domain.operations import AnyOperation

T = TypeVar("T")


class QueueKind(StrEnum):
    """Who shares a queue and how long it lives."""

    PARTITIONED = "partitioned"
    """Durable; consumers share it by partition of the message key; per key one at a time."""

    NODE = "node"
    """One node's own: its only consumer declares it, and it expires with the node."""


class Queue(msgspec.Struct, Generic[T], frozen=True):
    """A queue's name, its kind, and the type of its payloads (a msgspec type)."""

    name: str
    kind: QueueKind
    payload: Any


WRITER: Queue[AnyOperation] = Queue("writer", QueueKind.PARTITIONED, AnyOperation)
TRANSPORT_MANAGER: Queue[Event] = Queue("transport-manager", QueueKind.PARTITIONED, Event)


def node_queue(transport: str, node: str) -> Queue[NodeMessage]:
    """A node's own queue for a transport, such as ``websockets-transport.<node>``."""
    return Queue(f"{transport}-transport.{node}", QueueKind.NODE, NodeMessage)


def worker_queue(worker: str) -> Queue[Event]:
    """A custom worker's own queue of events."""
    return Queue(f"worker.{worker}", QueueKind.PARTITIONED, Event)


class Message(msgspec.Struct, Generic[T], frozen=True):
    """A payload and the key it is partitioned and ordered by."""

    key: str
    payload: T


class Received(msgspec.Struct, Generic[T], frozen=True):
    """A message as it was taken from a queue.

    `attempts` counts the deliveries before this one. `handle` is the adapter's own.
    """

    key: str
    payload: T
    attempts: int = 0
    handle: Any = None


class DeadLetter(msgspec.Struct, frozen=True, rename="camel"):
    """A message that was set aside: by its consumer, or because it kept ending its consumer.

    `id` names it among the dead letters, `queue` is the `Queue.name` that it was in. `payload` is
    JSON values, or text where it could not be decoded. `attempts` counts the deliveries before
    the last one; `buried_at` is in UNIX seconds.
    """

    id: str
    queue: str
    key: str
    payload: Any
    attempts: int
    reason: str
    buried_at: float


class Consumer(ABC, Generic[T]):
    """One consumer of one queue, made by `Broker.consume`."""

    @abstractmethod
    async def take(self, limit: int) -> list[Received[T]]:
        """Wait for messages and take up to `limit` of those that are there, oldest first.

        Messages of one key come in the order they were published, and the next of a key may
        come before the last is settled only to this same consumer. Cancelling loses nothing.

        From a `QueueKind.NODE` queue it raises `MessagesLost`, once, when the queue ended while
        this consumer could not reach it and was made anew: what comes then is newer than what is
        missing. The consumer goes on working.
        """

    @abstractmethod
    async def settle(self, messages: Sequence[Received[T]]) -> None:
        """These are done with and will not come again."""

    @abstractmethod
    async def retry(self, messages: Sequence[Received[T]], delay: float) -> None:
        """Deliver these again after `delay` seconds, with `attempts` one higher, before any
        later message of their keys."""

    async def refuse(self, messages: Sequence[Received[T]], error: Exception) -> None:  # noqa: ARG002
        """Give these back to their publishers, whose `Broker.publish` raises `error`.

        Only where the broker `confirms_settled`; elsewhere they were accepted, and are retried.
        """
        await self.retry(messages, 1.0)

    @abstractmethod
    async def bury(self, messages: Sequence[Received[T]], reason: str) -> None:
        """Set these aside as dead letters: kept for an operator, not delivered again."""

    @abstractmethod
    async def close(self) -> None:
        """Stop; what was taken and not settled goes to another consumer."""


class Broker(ABC):
    """Queues that keep order per key and lose nothing that was confirmed.

    `confirms_settled` says that `publish` to the writer returns only when the message was
    settled, so that a refused write (`Consumer.refuse`) was never accepted.
    """

    confirms_settled: ClassVar[bool] = False

    @abstractmethod
    async def open(self) -> None:
        """Connect; `StartupError` when it is wrong, `ServiceUnavailable` when only away."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is being published and let go; may be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the broker answers, else raise `ServiceUnavailable`."""

    @abstractmethod
    async def publish(self, queue: Queue[T], messages: Sequence[Message[T]]) -> None:
        """Put messages into a queue, in order; returns when every one is confirmed.

        Calls that run at the same time keep the order in which they began: what one of them
        publishes under a key comes before what a later one does, unless it is not taken at all.

        Confirmed means that the message survives whatever the broker is made to survive; the
        in-process broker confirms a writer's message when it has been settled, and everything
        else when it is queued. Raises `ServiceUnavailable` when the queue is full or the
        broker away; then it may or may not have been taken. To a `QueueKind.NODE` queue that
        does not exist (its node has gone) messages vanish silently.
        """

    @abstractmethod
    async def consume(self, queue: Queue[T], *, prefetch: int = 1000) -> Consumer[T]:
        """Become a consumer of a queue, with at most `prefetch` messages unsettled."""

    @abstractmethod
    async def depth(self, queue: Queue[Any]) -> int:
        """How many messages wait in a queue, roughly."""

    @abstractmethod
    async def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """The oldest dead letters, of the queue of that name or of all, oldest first."""

    @abstractmethod
    async def replay(self, ids: Collection[str]) -> int:
        """Put dead letters back at the ends of their queues, as if they were just published.

        They are no dead letters then. Returns how many there were; ids that name none are not
        an error, so that it may be called again. Their order is kept.
        """

    @abstractmethod
    async def discard(self, ids: Collection[str]) -> int:
        """Forget dead letters; returns how many there were."""
