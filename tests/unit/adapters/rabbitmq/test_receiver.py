"""The reader of a mailbox without RabbitMQ: what it acknowledges and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from nexxus.adapters.rabbitmq.receiver import RabbitMQReceiver
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.adapters.rabbitmq.subscription import QueueSubscription
from nexxus.adapters.rabbitmq.topology import Topology
from nexxus.errors import ServiceUnavailable
from nexxus.testing.broker_kit.materials import Note, new_mailbox
from nexxus.testing.journal import Journal
from nexxus.toolkit.delivery_buffer import BufferedMessage


class SlowSubscription(QueueSubscription):
    """A subscription that blocks while RabbitMQ does not read."""

    def __init__(self, receiver: RabbitMQReceiver[Note]) -> None:
        unused: Any = None
        super().__init__("queue", receiver.buffer, unused, unused)
        self.settled: list[int] = []
        self.reads = asyncio.Event()

    async def settle(self, tags: Iterable[int]) -> None:
        await self.reads.wait()
        self.settled += tags


@pytest.fixture
def receiver() -> RabbitMQReceiver[Note]:
    unused: Any = None
    return RabbitMQReceiver(
        new_mailbox(), link=unused, topology=Topology(RabbitMQSettings()), logger=Journal()
    )


async def test_taken_messages_are_acknowledged_even_if_the_next_take_is_cancelled(
    receiver: RabbitMQReceiver[Note],
) -> None:
    subscription = SlowSubscription(receiver)
    for tag in (1, 2, 3):
        receiver.buffer.add(BufferedMessage(subscription, tag, "", Note(str(tag))))
    assert len(await receiver.take(2)) == 2
    cancelled = asyncio.create_task(receiver.take(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    subscription.reads.set()

    assert [note.text for note in await receiver.take(2)] == ["3"]
    assert subscription.settled == [1, 2]


async def test_a_waiting_reader_is_notified_when_the_mailbox_is_closed(
    receiver: RabbitMQReceiver[Note],
) -> None:
    waiting = asyncio.create_task(receiver.take(2))
    await asyncio.sleep(0)
    await receiver.close()
    with pytest.raises(ServiceUnavailable, match="closed"):
        await waiting
