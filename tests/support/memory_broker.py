"""A broker that takes what it is given and keeps it, for tests of what publishes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nexxus.interfaces.broker import (
    Broker,
    Consumer,
    Group,
    Mailbox,
    Message,
    Receiver,
    SetAside,
    Topic,
)


async def _nothing(_: Any) -> None:
    return None


class MemoryBroker(Broker):
    """Keeps payloads by topic and messages by mailbox, and delivers to nobody.

    A test may get in between: `publishing` is awaited with each payload before it is kept, and
    `sending` with each message before it is. Either may raise, or do what a consumer would.
    """

    is_durable = False

    def __init__(self) -> None:
        self.published: dict[str, list[Any]] = {}
        self.keys: list[str] = []
        self.sent: list[tuple[str, Any]] = []
        self.publishing: Callable[[Any], Awaitable[None]] = _nothing
        self.sending: Callable[[Any], Awaitable[None]] = _nothing

    def payloads(self, topic: Topic[Any]) -> list[Any]:
        """What was published to a topic."""
        return self.published.get(topic.name, [])

    async def publish(self, topic: Topic[Any], messages: Sequence[Message[Any]]) -> None:
        for message in messages:
            await self.publishing(message.payload)
            self.keys.append(message.key)
            self.published.setdefault(topic.name, []).append(message.payload)

    async def send(self, mailbox: Mailbox[Any], messages: Sequence[Any]) -> None:
        for message in messages:
            self.sent.append((mailbox.name, message))
            await self.sending(message)

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def ping(self) -> None:
        return None

    async def declare(self, group: Group[Any]) -> None:
        return None

    async def remove(self, group: Group[Any]) -> None:
        return None

    async def redeliver(self, group: Group[Any], messages: Sequence[Message[Any]]) -> None:
        raise NotImplementedError

    async def consume(
        self, group: Group[Any], *, prefetch: int, set_aside: SetAside
    ) -> Consumer[Any]:
        raise NotImplementedError

    async def receive(self, mailbox: Mailbox[Any]) -> Receiver[Any]:
        raise NotImplementedError

    async def depth(self, group: Group[Any]) -> int:
        return 0
