"""The broker: topics, groups that consume them by partition, and mailboxes of nodes.

A message is published to a **topic** once, however many groups consume it. A **group** receives
every message of its topic. Its members share the messages by partition of the key: at any time, the
messages of one key go to one member, in order. A **mailbox** belongs to one node and ends with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

import msgspec

from nexxus.domain.events import Event
from nexxus.domain.operations import AnyOperation

T = TypeVar("T")


class Topic(msgspec.Struct, Generic[T], frozen=True):
    """A stream of messages. `payload` is the msgspec type of their contents.

    If messages `must_survive`, `Broker.publish` returns only when a crash of all Nexxus processes
    cannot lose them: when they are stored or, if the broker is not `Broker.is_durable`, settled.
    """

    name: str
    payload: Any
    must_survive: bool


class Group(msgspec.Struct, Generic[T], frozen=True):
    """The consumers that share a topic's messages. `name` is unique among all groups."""

    topic: Topic[T]
    name: str


class Mailbox(msgspec.Struct, Generic[T], frozen=True):
    """The queue of one node. `name` is unique; `payload` is the type of its messages."""

    name: str
    payload: Any


WRITES: Final[Topic[AnyOperation]] = Topic("writes", AnyOperation, must_survive=True)
"""Accepted operations, to be applied by the writer."""

EVENTS: Final[Topic[Event]] = Topic("events", Event, must_survive=False)
"""Applied writes. Their objects are stored, so clients can recover from a lost event."""

WRITER: Final[Group[AnyOperation]] = Group(WRITES, "writer")
TRANSPORT_MANAGER: Final[Group[Event]] = Group(EVENTS, "transport-manager")


def worker_group(worker: str) -> Group[Event]:
    """Return the group of a custom worker, which receives every event."""
    return Group(EVENTS, f"worker.{worker}")


class Message(msgspec.Struct, Generic[T], frozen=True):
    """A payload, and the key that it is partitioned and ordered by (`ObjectKey.partition`)."""

    key: str
    payload: T


class Received(msgspec.Struct, Generic[T], frozen=True):
    """A message as a consumer received it.

    `attempts` is the number of earlier deliveries that failed or whose consumer was lost, as far as
    the broker knows. If `is_waiting`, the publisher waits until the message is settled; otherwise
    `publish` has already returned. `handle` is for the adapter only.
    """

    key: str
    payload: T
    attempts: int = 0
    is_waiting: bool = False
    handle: Any = None


class Undecodable(msgspec.Struct, frozen=True):
    """A message whose `body` is not of the topic's type, and the `reason`."""

    key: str
    body: bytes
    attempts: int
    reason: str


SetAside: TypeAlias = Callable[[Undecodable], Awaitable[None]]
"""Stores a message that cannot be handled. On return the broker may forget it; if
`ServiceUnavailable` is raised, the broker must deliver it again."""


class Consumer(ABC, Generic[T]):
    """One member of a group, made by `Broker.consume`.

    When a consumer is closed, is lost or loses a partition, the messages that it has not settled
    are delivered again, to another member or to this one. Settling the earlier copy then has no
    effect.
    """

    @abstractmethod
    async def take(self, limit: int) -> list[Received[T]]:
        """Wait for messages and return at most `limit` of those available, oldest first.

        The messages of one key arrive in the order in which they were published. While some of them
        are unsettled, later ones of that key go to this consumer only. Cancelling this call loses
        no message.
        """

    @abstractmethod
    async def settle(self, messages: Sequence[Received[T]]) -> None:
        """Mark these messages as done: they will not be delivered again."""

    @abstractmethod
    async def retry(
        self, messages: Sequence[Received[T]], delay: float, *, failed: bool = True
    ) -> None:
        """Deliver these again after `delay` seconds, before any later message of their keys.

        Messages of other keys are not delayed, except if the broker prefetches and every prefetched
        message waits. If the messages `failed`, their `Received.attempts` grows by one. It does not
        grow if they only wait for a service or behind another message.
        """

    async def refuse(self, messages: Sequence[Received[T]], error: Exception) -> None:  # noqa: ARG002
        """Return these to the publishers that wait for them: `Broker.publish` raises `error`.

        A message without a waiting publisher was already accepted, so it is retried.
        """
        await self.retry(messages, 1.0, failed=False)

    @abstractmethod
    async def close(self) -> None:
        """Leave the group. May be called twice."""


class Receiver(ABC, Generic[T]):
    """The only reader of a mailbox, made by `Broker.receive`."""

    @abstractmethod
    async def take(self, limit: int) -> list[T]:
        """Wait for messages and return at most `limit`, in the order in which they were sent.

        The next call marks them as done. After a crash before that call they may be delivered
        again, if the mailbox still exists. Cancelling this call loses no message.

        Raises `MessagesLost`, once, if the mailbox expired while the broker could not be reached
        and a new one was made: the messages that follow are newer than the missing ones.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop reading. The mailbox ends now or when it expires. May be called twice."""


class Broker(ABC):
    """Carries messages between roles and nodes, and loses no message that it has confirmed.

    Methods other than `open` may be called concurrently from one event loop. Each raises
    `ServiceUnavailable` when the broker cannot answer.
    """

    is_durable: ClassVar[bool] = True
    """Whether a message that `publish` confirmed survives a kill of all Nexxus processes."""

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises `StartupError` for an error that waiting does not fix. Raises
        `ServiceUnavailable` if the broker cannot be reached now; `open` may then be called
        again."""

    @abstractmethod
    async def close(self) -> None:
        """Finish the calls under way and release all resources. May be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the broker accepts messages, else raise `ServiceUnavailable`."""

    @abstractmethod
    async def declare(self, group: Group[Any]) -> None:
        """Create a group. From now on it receives every message of its topic, from any publisher.

        Messages are kept for it also while it has no members. May be called again, by any node.
        Raises `StartupError` if the group exists and cannot work with the present settings.
        """

    @abstractmethod
    async def remove(self, group: Group[Any]) -> None:
        """Remove a group and the messages that wait for it. Does nothing if there is no such group.

        Its members on all nodes must have left: a member that is still running may declare it
        again.
        """

    @abstractmethod
    async def publish(self, topic: Topic[T], messages: Sequence[Message[T]]) -> None:
        """Publish messages to every group of the topic, in order; return when all are confirmed.

        Confirmed means that a majority of the broker's replicas has stored the message; for a
        broker that does not store messages see `Topic.must_survive`. Concurrent calls keep the
        order in which they began: of the messages under one key, those of the earlier call come
        first, unless they are not accepted.

        Raises `ServiceUnavailable` if a group's queue is full or the broker cannot be reached. Each
        group may then have accepted the messages or not.
        """

    @abstractmethod
    async def redeliver(self, group: Group[T], messages: Sequence[Message[T]]) -> None:
        """Publish messages to one group only, after those that already wait for it.

        This is for messages that were set aside or stored elsewhere, so the call does not wait
        until they are settled.
        """

    @abstractmethod
    async def send(self, mailbox: Mailbox[T], messages: Sequence[T]) -> None:
        """Put messages into a mailbox, in order; return when they are confirmed.

        Concurrent calls keep the order in which they began. Messages to a mailbox that does not
        exist are dropped silently, because its node is gone.
        """

    @abstractmethod
    async def consume(self, group: Group[T], *, prefetch: int, set_aside: SetAside) -> Consumer[T]:
        """Become a member of a declared group, with at most `prefetch` messages unsettled.

        `set_aside` is called for each message that cannot be decoded.
        """

    @abstractmethod
    async def receive(self, mailbox: Mailbox[T]) -> Receiver[T]:
        """Create a mailbox and become its reader. From now on no message sent to it is lost.

        A mailbox has one reader at a time; what an earlier reader still receives is not specified.
        """

    @abstractmethod
    async def depth(self, group: Group[Any]) -> int:
        """Return roughly how many messages wait for a group; 0 if it is not declared."""
