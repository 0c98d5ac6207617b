"""The broker: topics, which groups consume by partition, and mailboxes, one node's own.

A **topic** is published to once, however many groups there are. A **group** takes every message of
its topic; its members share them by partition of the key, so that the messages of one key are in
one member's hands at a time, in order. A **mailbox** belongs to one node and ends with it.
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
    """A stream of messages. `payload` is the type of what they carry, a msgspec type.

    Where messages `must_survive`, `Broker.publish` returns only when a crash of every process of
    Nexxus cannot undo them: they are stored, or, by a broker that is not `Broker.is_durable`,
    settled.
    """

    name: str
    payload: Any
    must_survive: bool


class Group(msgspec.Struct, Generic[T], frozen=True):
    """The consumers that share a topic's messages. `name` is unique among all groups."""

    topic: Topic[T]
    name: str


class Mailbox(msgspec.Struct, Generic[T], frozen=True):
    """A node's own queue. `name` is unique; `payload` is the type of what is sent to it."""

    name: str
    payload: Any


WRITES: Final[Topic[AnyOperation]] = Topic("writes", AnyOperation, must_survive=True)
"""Accepted operations, on their way to the writer."""

EVENTS: Final[Topic[Event]] = Topic("events", Event, must_survive=False)
"""Applied writes. The object is stored: what gets lost here can be told again."""

WRITER: Final[Group[AnyOperation]] = Group(WRITES, "writer")
TRANSPORT_MANAGER: Final[Group[Event]] = Group(EVENTS, "transport-manager")


def worker_group(worker: str) -> Group[Event]:
    """The group of a custom worker, which takes every event."""
    return Group(EVENTS, f"worker.{worker}")


class Message(msgspec.Struct, Generic[T], frozen=True):
    """A payload, and the key that it is partitioned and ordered by (`ObjectKey.partition`)."""

    key: str
    payload: T


class Received(msgspec.Struct, Generic[T], frozen=True):
    """A message as a consumer took it.

    `attempts` counts the deliveries before this one that failed or ended with their consumer, as
    far as the broker knows. Its publisher `is_waiting` until it is settled, or else has been told
    already that the message was accepted. `handle` is the adapter's own.
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
"""Stores a message that nobody can handle. On return the broker may forget it; when
`ServiceUnavailable` is raised, it has to offer it again."""


class Consumer(ABC, Generic[T]):
    """One member of a group, made by `Broker.consume`.

    What it took and has not settled when it is closed, lost or partitioned away goes to another
    member, or to this one again; settling the former copy then has no effect.
    """

    @abstractmethod
    async def take(self, limit: int) -> list[Received[T]]:
        """Wait for messages and return up to `limit` of those that are there, oldest first.

        The messages of one key come in the order in which they were published. While some of them
        are unsettled, later ones of that key come to this consumer only. Cancelling loses nothing.
        """

    @abstractmethod
    async def settle(self, messages: Sequence[Received[T]]) -> None:
        """Mark these as done: they will not be delivered again."""

    @abstractmethod
    async def retry(
        self, messages: Sequence[Received[T]], delay: float, *, failed: bool = True
    ) -> None:
        """Deliver these again after `delay` seconds, before any later message of their keys.

        Messages of other keys are not held up, unless a broker that delivers ahead has delivered as
        many as it may, and all of them wait. `Received.attempts` grows by one where they `failed`;
        not where they only have to wait, for a service or behind another message.
        """

    async def refuse(self, messages: Sequence[Received[T]], error: Exception) -> None:  # noqa: ARG002
        """Give these back to the publishers that wait for them: `Broker.publish` raises `error`.

        A message that nobody waits for was accepted, so it is retried.
        """
        await self.retry(messages, 1.0, failed=False)

    @abstractmethod
    async def close(self) -> None:
        """Leave the group. May be called twice."""


class Receiver(ABC, Generic[T]):
    """The one reader of a mailbox, made by `Broker.receive`."""

    @abstractmethod
    async def take(self, limit: int) -> list[T]:
        """Wait for messages and return up to `limit`, in the order in which they were sent.

        The next call marks them as done. A crash before that may deliver them again, if the mailbox
        outlives it. Cancelling loses nothing.

        Raises `MessagesLost`, once, when the mailbox expired while it could not be reached and was
        made again: what comes then is newer than what is missing.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop reading. The mailbox ends, at once or when it expires. May be called twice."""


class Broker(ABC):
    """Carries messages between roles and nodes, and loses nothing that it has confirmed.

    Methods other than `open` may be called concurrently from one event loop. Each raises
    `ServiceUnavailable` when the broker cannot answer.
    """

    is_durable: ClassVar[bool] = True
    """Whether a message that `publish` confirmed is still there when every process of Nexxus has
    been killed."""

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises `StartupError` for what is wrong, `ServiceUnavailable` for a broker that
        is only away and may be tried again."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is being published and release everything. May be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the broker accepts messages, else raise `ServiceUnavailable`."""

    @abstractmethod
    async def declare(self, group: Group[Any]) -> None:
        """Make a group. From now on it misses nothing of its topic, whoever publishes.

        Messages wait for its members, also while it has none. May be called again, by any node.
        Raises `StartupError` when the group exists and cannot work as the settings say.
        """

    @abstractmethod
    async def remove(self, group: Group[Any]) -> None:
        """Remove a group with all that waits for it. None there is no error.

        Its members must have left everywhere: one that is still there may declare it again.
        """

    @abstractmethod
    async def publish(self, topic: Topic[T], messages: Sequence[Message[T]]) -> None:
        """Publish messages to every group of the topic, in order; return when all are confirmed.

        Confirmed means stored by a majority of whatever the broker replicates to; see
        `Topic.must_survive` for a broker that does not store. Concurrent calls keep the order in
        which they began: what one publishes under a key precedes what a later one does, unless it
        is not accepted at all.

        Raises `ServiceUnavailable` when a group's queue is full or the broker is away; the messages
        may have been accepted or not, by each group for itself.
        """

    @abstractmethod
    async def redeliver(self, group: Group[T], messages: Sequence[Message[T]]) -> None:
        """Deliver messages to one group alone, behind what waits for it; as `publish` otherwise.

        For what was set aside, or was stored elsewhere: nobody waits until it is settled.
        """

    @abstractmethod
    async def send(self, mailbox: Mailbox[T], messages: Sequence[T]) -> None:
        """Put messages into a mailbox, in order; return when they are confirmed.

        Concurrent calls keep the order in which they began. Messages to a mailbox that does not
        exist vanish silently: its node is gone.
        """

    @abstractmethod
    async def consume(self, group: Group[T], *, prefetch: int, set_aside: SetAside) -> Consumer[T]:
        """Become a member of a declared group, with at most `prefetch` messages unsettled.

        `set_aside` is called for each message that cannot be decoded.
        """

    @abstractmethod
    async def receive(self, mailbox: Mailbox[T]) -> Receiver[T]:
        """Make a mailbox and become its reader: from now on it loses nothing that is sent to it.

        There is one reader at a time; what another one still has is not specified.
        """

    @abstractmethod
    async def depth(self, group: Group[Any]) -> int:
        """Return roughly how many messages wait for a group; 0 for one that is not declared."""
