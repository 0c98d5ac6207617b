"""Order per key under any behaviour of consumers."""

import asyncio
import gc
import weakref
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexxus.adapters.in_process.broker.queues import Confirmation, GroupQueue, LocalConsumer
from nexxus.adapters.in_process.broker.room import wait_to_enter
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Message, Received

KEYS = "abc"
CONSUMERS = 3

publishes = st.tuples(st.just("publish"), st.sampled_from(KEYS))
takes = st.tuples(st.just("take"), st.integers(0, CONSUMERS - 1), st.integers(1, 4))
settles = st.tuples(st.just("settle"), st.integers(0, CONSUMERS - 1), st.integers(1, 4))
retries = st.tuples(st.just("retry"), st.integers(0, CONSUMERS - 1), st.integers(1, 4))
closes = st.tuples(st.just("close"), st.integers(0, CONSUMERS - 1))
scripts = st.lists(st.one_of(publishes, publishes, takes, takes, settles, retries, closes))


class Stage:
    """A queue with three consumers, and the messages that each of them holds."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self.queue = GroupQueue(limit)
        self.consumers = [self.new_consumer() for _ in range(CONSUMERS)]
        self.in_hand: list[list[Received[int]]] = [[] for _ in range(CONSUMERS)]
        self.published: dict[str, int] = defaultdict(int)
        self.settled: dict[str, set[int]] = defaultdict(set)

    def new_consumer(self) -> LocalConsumer[int]:
        consumer: LocalConsumer[int] = LocalConsumer(self.queue, 1_000)
        self.queue.consumers.append(consumer)
        return consumer

    async def perform(self, action: str, *arguments: Any) -> None:
        await getattr(self, action)(*arguments)

    async def publish(self, key: str) -> None:
        self.published[key] += 1
        message = Message(key, self.published[key])
        self.queue.put([message], None)

    async def take(self, who: int, limit: int) -> None:
        for message in self.queue.deliver(self.consumers[who], limit):
            self.check(who, message)
            self.in_hand[who].append(message)

    async def settle(self, who: int, count: int) -> None:
        batch, self.in_hand[who] = self.in_hand[who][:count], self.in_hand[who][count:]
        for message in batch:
            self.settled[message.key].add(message.payload)
        await self.consumers[who].settle(batch)

    async def retry(self, who: int, count: int) -> None:
        batch, self.in_hand[who] = self.in_hand[who][:count], self.in_hand[who][count:]
        await self.consumers[who].retry(batch, 0.0)

    async def close(self, who: int) -> None:
        await self.consumers[who].close()
        self.consumers[who] = self.new_consumer()
        self.in_hand[who] = []

    def check(self, who: int, message: Received[int]) -> None:
        """Assert that each key has one consumer, which gets the key's oldest available message."""
        held = {
            (holder, other.payload)
            for holder, hand in enumerate(self.in_hand)
            for other in hand
            if other.key == message.key
        }
        assert all(holder == who for holder, _ in held)
        away = self.settled[message.key] | {number for _, number in held}
        assert message.payload not in away
        assert all(number in away for number in range(1, message.payload))


@given(scripts)
@settings(max_examples=3 * settings.default.max_examples, deadline=None)
def test_each_key_has_one_consumer_and_nothing_is_lost_or_reordered(
    script: list[tuple[Any, ...]],
) -> None:
    async def play() -> None:
        stage = Stage()
        for step in script:
            await stage.perform(*step)
        for who in range(CONSUMERS):
            await stage.close(who)
        while stage.queue.room.size:
            before = stage.queue.room.size
            await stage.take(0, 10)
            await stage.settle(0, 10)
            assert stage.queue.room.size < before
        assert {key: len(stage.settled[key]) for key in stage.published} == stage.published
        assert stage.queue.depth == 0
        assert all(not consumer.held for consumer in stage.queue.consumers)

    asyncio.run(play())


async def test_delays_of_a_key_end_in_the_order_of_its_messages() -> None:
    stage = Stage()
    for _ in range(3):
        await stage.publish("a")
    await stage.take(0, 3)
    first, second, third = stage.in_hand[0]
    await stage.consumers[0].retry([third], 0.0)
    await stage.consumers[0].retry([second], 0.05)
    await stage.consumers[0].retry([first], 0.01)
    taken: list[int] = []
    while len(taken) < 3:
        async with asyncio.timeout(10):
            taken += [message.payload for message in await stage.consumers[1].take(1)]
    assert taken == [1, 2, 3]


async def test_a_withdrawn_message_makes_room_for_a_waiting_one() -> None:
    stage = Stage(limit=1)
    withdrawn = Confirmation(1)
    stage.queue.put([Message("a", "withdrawn")], withdrawn)
    admitted = stage.queue.put([Message("a", "waits")], None)
    assert admitted is not None
    publishing = asyncio.create_task(wait_to_enter([(stage.queue.room, admitted)], 10))
    await asyncio.sleep(0)
    assert stage.queue.room.is_full
    withdrawn.abandoned = True

    async with asyncio.timeout(10):
        received = await stage.consumers[0].take(10)

    assert [message.payload for message in received] == ["waits"]
    assert stage.queue.room.is_full, "whoever comes later waits, too"
    await publishing


async def test_messages_that_found_no_room_in_time_are_dropped() -> None:
    class Payload:
        pass

    stage = Stage(limit=1)
    stage.queue.put([Message("a", 1)], None)
    payload = Payload()
    alive = weakref.ref(payload)
    admitted = stage.queue.put([Message("a", payload)], None)
    assert admitted is not None
    with pytest.raises(ServiceUnavailable, match="full"):
        await wait_to_enter([(stage.queue.room, admitted)], 0.01)

    del payload, admitted
    gc.collect()
    assert alive() is None
