"""Which key belongs to which partition, which partition to whom, and what waits there."""

from __future__ import annotations

import asyncio
from collections import Counter
from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st

from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.adapters.rabbitmq.topology import Topology, assign, waiting
from nexxus.interfaces.broker import WRITER, node_queue

MEMBERS = st.lists(st.text(min_size=1), min_size=1, max_size=12, unique=True)
PARTITIONS = st.integers(1, 40)


def test_a_key_is_in_the_same_partition_on_every_node_and_for_ever():
    topology = Topology(RabbitMQSettings(prefix="test", partitions=8))
    keys = ["shop\x00item\x001", "shop\x00item\x002", "é", ""]
    assert [topology.queue_for(WRITER, key) for key in keys] == [
        "test.writer.2",
        "test.writer.0",
        "test.writer.6",
        "test.writer.0",
    ]
    assert topology.queues_of(WRITER) == [f"test.writer.{number}" for number in range(8)]


def test_a_nodes_own_queue_has_no_partitions():
    topology = Topology(RabbitMQSettings(prefix="test"))
    queue = node_queue("websockets", "n1")
    assert topology.queues_of(queue) == ["test.websockets-transport.n1"]
    assert topology.queue_for(queue, "any key") == "test.websockets-transport.n1"


def test_the_name_of_a_queue_is_told_from_that_in_rabbitmq():
    topology = Topology(RabbitMQSettings(prefix="test"))
    assert topology.name_of("test.worker.mail.3") == "worker.mail"
    assert topology.name_of("test.websockets-transport.n1") == "websockets-transport.n1"


@given(PARTITIONS, MEMBERS)
def test_partitions_are_spread_evenly(partitions: int, members: list[str]):
    load = Counter(assign(partitions, members))
    assert sum(load.values()) == partitions
    assert set(load) <= set(members)
    assert max(load.values()) <= -(-partitions // len(members))


@given(PARTITIONS, MEMBERS, st.randoms())
def test_everybody_comes_to_the_same_conclusion(partitions: int, members: list[str], random):
    shuffled = random.sample(members, len(members))
    assert assign(partitions, shuffled) == assign(partitions, members)


def test_most_partitions_stay_where_they_are_when_a_member_goes():
    members = [f"node-{number}" for number in range(4)]
    before, after = assign(32, members), assign(32, members[:-1])
    kept = sum(old == new for old, new in zip(before, after, strict=True))
    assert kept >= 16


class SilentChannel:
    """A channel of a RabbitMQ that does not answer. No real one is silent at the right moment."""

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


async def test_who_no_longer_wants_to_know_what_waits_leaves_no_channel_open():
    channel = SilentChannel()
    asking = asyncio.create_task(waiting(Mock(channel=lambda **_: channel), "test.writer.0"))
    await channel.is_asked.wait()
    asking.cancel()
    await asyncio.wait((asking,))
    assert not channel.is_open
