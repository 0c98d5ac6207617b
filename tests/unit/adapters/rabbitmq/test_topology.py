"""The names of queues, and the number of messages in them."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.adapters.rabbitmq.topology import Topology, waiting
from nexxus.cluster.messages import gateway_mailbox
from nexxus.interfaces.broker import EVENTS, WRITER


def test_the_names_of_queues_state_their_purpose():
    topology = Topology(RabbitMQSettings(prefix="test", partitions=8))
    assert topology.queues_of(WRITER) == [f"test.writer.{number}" for number in range(8)]
    assert topology.exchange_of(EVENTS) == "test.events"
    mailbox = gateway_mailbox("websockets", "n1")
    assert topology.mailbox_queue(mailbox) == "test.websockets-transport.n1"


class SilentChannel:
    """A channel of a RabbitMQ that does not respond; a real one cannot be silenced on time."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.is_open = False

    async def initialize(self) -> None:
        self.is_open = True

    async def close(self, *_: object) -> None:
        self.is_open = False

    async def __aenter__(self) -> SilentChannel:
        await self.initialize()
        return self

    __aexit__ = close

    async def declare_queue(self, *_: object, **__: object) -> None:
        self.is_asked.set()
        await asyncio.Event().wait()


async def test_a_cancelled_depth_query_leaves_no_channel_open():
    channel = SilentChannel()
    asking = asyncio.create_task(waiting(Mock(channel=lambda **_: channel), "test.writer.0"))
    await channel.is_asked.wait()
    asking.cancel()
    await asyncio.wait((asking,))
    assert not channel.is_open
