"""Dead letters: what was set aside, for an operator to look at, replay or discard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from nexxus.adapters.rabbitmq.link import unavailable_when_away
from nexxus.adapters.rabbitmq.publisher import KEY, Outgoing, Publisher
from nexxus.adapters.rabbitmq.topology import Topology, waiting
from nexxus.interfaces.broker import DeadLetter

_ROUTED_TO: Final = "nexxus-routed-to"
_ATTEMPTS: Final = "nexxus-attempts"
_REASON: Final = "nexxus-reason"
_BURIED_AT: Final = "nexxus-buried-at"
_DEATHS: Final = "x-death"
_DEATH_COUNT: Final = "x-delivery-count"

_SCANNED: Final = 10_000
"""So many of the oldest dead letters can be reached; the others wait behind them."""

_LOOKS: Final = 40
_BETWEEN_LOOKS: Final = 0.05
"""Two seconds in all, for the case that another node's reader holds some meanwhile."""


def buried(
    routed_to: str, queue: str, key: str, body: bytes, *, attempts: int, reason: str
) -> Outgoing:
    """Who, where, how often, when and why, as a message for the queue of dead letters."""
    return Outgoing(
        "",
        body,
        {
            KEY: key,
            _ROUTED_TO: routed_to,
            _ATTEMPTS: attempts,
            _REASON: reason[:1000],
            _BURIED_AT: int(time.time()),
        },
        queue,
    )


class _Found(NamedTuple):
    tag: int
    letter: DeadLetter
    body: bytes
    routed_to: str


@dataclass
class _Reading:
    """A channel to read by, how many letters there were, and how many of them were removed."""

    channel: AbstractChannel
    count: int
    removed: int = 0


class DeadLetters:
    """The queue of dead letters of all queues, oldest first.

    Messages are looked at by receiving them without acknowledging: while one reader is at it,
    another one sees fewer. What is neither replayed nor discarded stays in its place.
    """

    def __init__(self, topology: Topology, publisher: Publisher) -> None:
        self._topology = topology
        self._publisher = publisher
        self._one_reader = asyncio.Lock()

    async def list(self, queue: str | None, limit: int) -> list[DeadLetter]:
        """As `Broker.dead_letters`."""
        letters: list[DeadLetter] = []
        async with self._reading() as reading:
            async for found in self._walk(reading):
                if queue is None or found.letter.queue == queue:
                    letters.append(found.letter)
                if len(letters) == limit:
                    break
        return letters

    async def replay(self, ids: Collection[str]) -> int:
        """As `Broker.replay`."""

        async def put_back(found: _Found) -> None:
            letter = found.letter
            is_node = found.routed_to == self._topology.node_queue(letter.queue)
            target = (
                found.routed_to
                if is_node
                else self._topology.partition_queue(letter.queue, letter.key)
            )
            outgoing = Outgoing(target, found.body, {KEY: letter.key}, letter.queue)
            await self._publisher.publish_again(outgoing, may_vanish=is_node)

        return await self._remove(ids, put_back)

    async def discard(self, ids: Collection[str]) -> int:
        """As `Broker.discard`."""

        async def nothing(_: _Found) -> None:
            return

        return await self._remove(ids, nothing)

    async def _remove(self, ids: Collection[str], first: Callable[[_Found], Any]) -> int:
        """Take letters out, each after something was done with it; how many were found."""
        wanted = set(ids)
        async with self._reading() as reading:
            async for found in self._walk(reading):
                if found.letter.id in wanted:
                    wanted.remove(found.letter.id)
                    await first(found)
                    await reading.channel.basic_ack(found.tag, wait=False)
                    reading.removed += 1
                if not wanted:
                    break
        return reading.removed

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[_Reading]:
        """Closing its channel puts back what is not acknowledged, and waits until it is there.

        RabbitMQ confirms the closing before a quorum queue has its messages back: whoever looked
        at once would find them missing.
        """
        queue = self._topology.dead_letter_queue
        async with self._one_reader:
            connection = await self._publisher.connection()
            with unavailable_when_away():
                channel = connection.channel(publisher_confirms=False)
                await channel.initialize()
                reading = _Reading(
                    await channel.get_underlay_channel(), await waiting(connection, queue) or 0
                )
                try:
                    yield reading
                finally:
                    await channel.close()
                for _ in range(_LOOKS):
                    if (await waiting(connection, queue) or 0) >= reading.count - reading.removed:
                        break
                    await asyncio.sleep(_BETWEEN_LOOKS)

    async def _walk(self, reading: _Reading) -> AsyncIterator[_Found]:
        for _ in range(min(reading.count, _SCANNED)):
            message = await reading.channel.basic_get(self._topology.dead_letter_queue)
            if not isinstance(message.delivery, Basic.GetOk):
                return
            yield self._read(message, message.delivery.delivery_tag or 0)

    def _read(self, message: DeliveredMessage, tag: int) -> _Found:
        properties = message.header.properties
        headers: dict[str, Any] = dict(properties.headers or {})
        death: dict[str, Any] = next(iter(headers.get(_DEATHS) or ()), {})
        routed_to = str(headers.get(_ROUTED_TO) or death.get("queue", ""))
        at = headers.get(_BURIED_AT)
        if at is None:
            died = death.get("time")
            at = died.timestamp() if isinstance(died, datetime) else 0
        letter = DeadLetter(
            id=properties.message_id or "",
            queue=properties.message_type or self._topology.name_of(routed_to),
            key=str(headers.get(KEY, "")),
            payload=_shown(message.body),
            attempts=int(headers.get(_ATTEMPTS, headers.get(_DEATH_COUNT, 0))),
            reason=str(headers.get(_REASON) or _explain(death)),
            buried_at=float(at),
        )
        return _Found(tag, letter, message.body, routed_to)


def _shown(body: bytes) -> Any:
    """The payload as JSON values; of one that is none, its text."""
    try:
        return msgspec.json.decode(body)
    except ValueError:
        return body.decode(errors="replace")


def _explain(death: dict[str, Any]) -> str:
    if death.get("reason") == "delivery_limit":
        return "its consumer died or was cut off too often: broker.delivery_limit"
    return f"set aside by RabbitMQ: {death.get('reason', 'unknown')}"
