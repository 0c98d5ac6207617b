"""The conformance kit for `nexxus.interfaces.broker.Broker`.

Subclass `BrokerConformance` in a test module and give it a fixture `broker` that yields an open
broker (and closes it afterwards)::

    class TestMyBroker(BrokerConformance):
        @pytest.fixture
        async def broker(self):
            broker = MyBroker(settings)
            await broker.open()
            yield broker
            await broker.close()

A durable broker also overrides `reopen`. The kit uses queues with names of its own, so a shared
server will do, and it assumes at-least-once delivery: nothing may be lost or overtake, and a
message may come twice where its consumer went away.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import pytest

from nexxus.domain.events import Event, NodeMessage, SubscriptionChanged
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import (
    Broker,
    Consumer,
    Message,
    Queue,
    QueueKind,
    Received,
    node_queue,
    worker_queue,
)

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

A_MOMENT = 0.1
"""Seconds for which something must not happen."""


def new_queue() -> Queue[Event]:
    """A partitioned queue that nobody else uses."""
    return worker_queue(f"kit-{uuid4().hex}")


def event(key: str, number: int) -> Message[Event]:
    """The `number`-th message of a key."""
    document = {"id": key, "type": "task", "appId": "kit", "version": number, "title": "é ✓"}
    payload = Event("model_created", "kit", "task", key, number, before=None, after=document)
    return Message(key, payload)


def node_message(device_id: str) -> Message[NodeMessage]:
    """A message for a node."""
    return Message(device_id, SubscriptionChanged("kit", device_id))


def facts(messages: list[Received[Event]]) -> list[tuple[str, int]]:
    """The key and number of each message."""
    return [(message.key, message.payload.version or 0) for message in messages]


async def take(
    consumer: Consumer[T], wanted: int, *, limit: int | None = None, settle: bool = True
) -> list[Received[T]]:
    """Take until `wanted` messages have come; fails when they do not."""
    taken: list[Received[T]] = []
    async with asyncio.timeout(PATIENCE):
        while len(taken) < wanted:
            batch = await consumer.take(limit or wanted - len(taken))
            if settle:
                await consumer.settle(batch)
            taken.extend(batch)
    return taken


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - a broker does not tell
            await asyncio.sleep(0.02)


async def is_quiet(consumer: Consumer[Any]) -> bool:
    """Whether nothing comes for a moment; what comes all the same is lost to the test."""
    task = asyncio.create_task(consumer.take(1))
    done, _ = await asyncio.wait((task,), timeout=A_MOMENT)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not done


class Witness:
    """Watches several consumers: who has which key, and in which order messages are settled."""

    def __init__(self, expected: int) -> None:
        self.clashes: list[str] = []
        self.settled: dict[str, list[int]] = defaultdict(list)
        self._expected = expected
        self._holders: dict[str, Consumer[Event]] = {}
        self._done = asyncio.Event()

    def sees_taken(self, consumer: Consumer[Event], batch: list[Received[Event]]) -> None:
        """A consumer has this batch now."""
        for message in batch:
            if self._holders.setdefault(message.key, consumer) is not consumer:
                self.clashes.append(message.key)

    def sees_given_back(self, batch: list[Received[Event]]) -> None:
        """A consumer is about to settle or retry all of a batch."""
        for message in batch:
            self._holders.pop(message.key, None)

    def sees_settled(self, batch: list[Received[Event]]) -> None:
        """These are settled; a repetition does not count."""
        for key, number in facts(batch):
            if number not in self.settled[key]:
                self.settled[key].append(number)
        if sum(map(len, self.settled.values())) == self._expected:
            self._done.set()

    async def is_done(self, patience: float) -> None:
        """Wait until everything was settled once."""
        async with asyncio.timeout(patience):
            await self._done.wait()


class BrokerConformance:
    """What the docstrings of `Broker` and `Consumer` promise, a test each."""

    # Publishing and taking

    async def test_what_is_published_is_taken_as_it_was(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        sent = event("a", 1)
        await broker.publish(queue, [sent])
        [received] = await take(consumer, 1)
        assert (received.key, received.payload, received.attempts) == ("a", sent.payload, 0)

    async def test_a_publish_of_nothing_is_fine(self, broker: Broker) -> None:
        await broker.publish(new_queue(), [])

    async def test_what_was_published_before_the_first_consumer_is_kept(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        await broker.publish(queue, [event("a", 1), event("a", 2)])
        consumer = await broker.consume(queue)
        assert facts(await take(consumer, 2)) == [("a", 1), ("a", 2)]

    async def test_the_messages_of_a_key_come_in_the_order_they_were_published(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        keys = [f"key-{number}" for number in range(10)]
        for number in range(1, 21):
            await broker.publish(queue, [event(key, number) for key in keys])
        by_key = defaultdict(list)
        for key, number in facts(await take(consumer, 200, limit=7)):
            by_key[key].append(number)
        assert by_key == {key: list(range(1, 21)) for key in keys}

    async def test_publishers_at_the_same_time_keep_the_order_in_which_they_began(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        async with asyncio.TaskGroup() as publishers:
            for number in range(1, 101):
                publishers.create_task(broker.publish(queue, [event(f"key-{number % 3}", number)]))
        by_key = defaultdict(list)
        for key, number in facts(await take(consumer, 100)):
            by_key[key].append(number)
        assert by_key == {f"key-{n}": list(range(n or 3, 101, 3)) for n in range(3)}

    async def test_a_batch_is_at_most_as_large_as_asked_for(self, broker: Broker) -> None:
        queue = new_queue()
        await broker.publish(queue, [event("a", number) for number in range(1, 11)])
        consumer = await broker.consume(queue)
        taken: list[tuple[str, int]] = []
        while len(taken) < 10:
            batch = await take(consumer, 1, limit=3)
            assert len(batch) <= 3
            taken += facts(batch)
        assert taken == [("a", number) for number in range(1, 11)]

    async def test_no_more_than_prefetch_are_out_at_once(self, broker: Broker) -> None:
        queue = new_queue()
        await broker.publish(queue, [event("a", number) for number in range(1, 6)])
        consumer = await broker.consume(queue, prefetch=2)
        first = await take(consumer, 2, limit=10, settle=False)
        assert facts(first) == [("a", 1), ("a", 2)]
        assert await is_quiet(consumer)
        await consumer.settle(first)
        assert facts(await take(consumer, 3, limit=10)) == [("a", 3), ("a", 4), ("a", 5)]

    async def test_a_take_waits_for_the_next_message(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        waiting = asyncio.create_task(take(consumer, 1))
        assert not (await asyncio.wait((waiting,), timeout=A_MOMENT))[0]
        await broker.publish(queue, [event("a", 1)])
        assert facts(await waiting) == [("a", 1)]

    async def test_cancelling_a_take_loses_nothing(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        taken: list[Received[Event]] = []
        for number in range(1, 51):
            task = asyncio.create_task(consumer.take(5))
            if number % 2:
                await asyncio.sleep(0)
            await broker.publish(queue, [event("a", number)])
            task.cancel()
            [result] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(result, list):
                taken += result
                await consumer.settle(result)
        taken += await take(consumer, 50 - len(taken))
        assert facts(taken) == [("a", number) for number in range(1, 51)]

    async def test_queues_do_not_mix(self, broker: Broker) -> None:
        one, other = new_queue(), new_queue()
        consumer, other_consumer = await broker.consume(one), await broker.consume(other)
        await broker.publish(one, [event("a", 1)])
        await broker.publish(other, [event("a", 2)])
        assert facts(await take(consumer, 1)) == [("a", 1)]
        assert facts(await take(other_consumer, 1)) == [("a", 2)]

    async def test_the_depth_is_what_waits(self, broker: Broker) -> None:
        queue = new_queue()
        assert await broker.depth(queue) == 0
        await broker.publish(queue, [event("a", number) for number in range(1, 6)])

        async def five_wait() -> bool:
            return await broker.depth(queue) == 5

        async def none_waits() -> bool:
            return await broker.depth(queue) == 0

        await eventually(five_wait)
        await take(await broker.consume(queue), 5)
        await eventually(none_waits)

    # Settling, retrying, burying

    async def test_what_is_settled_does_not_come_again(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", 1), event("b", 1)])
        await take(consumer, 2)
        await consumer.close()
        again = await broker.consume(queue)
        await broker.publish(queue, [event("a", 2)])
        assert facts(await take(again, 1)) == [("a", 2)]

    async def test_a_retried_message_comes_again_with_one_attempt_more(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", 1)])
        for attempts in range(3):
            [received] = await take(consumer, 1, settle=False)
            assert (received.key, received.attempts) == ("a", attempts)
            await consumer.retry([received], 0.01)
        [received] = await take(consumer, 1)
        assert received.attempts == 3

    async def test_a_retried_message_comes_before_the_later_ones_of_its_key(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", number) for number in range(1, 6)])
        first = await take(consumer, 1, limit=1, settle=False)
        await consumer.retry(first, 0.2)
        await broker.publish(queue, [event("a", 6)])
        assert facts(await take(consumer, 6)) == [("a", number) for number in range(1, 7)]

    async def test_a_retried_message_does_not_hold_up_other_keys(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", 1)])
        await consumer.retry(await take(consumer, 1, settle=False), 1.0)
        await broker.publish(queue, [event("a", 2), event("b", 1)])
        assert facts(await take(consumer, 3)) == [("b", 1), ("a", 1), ("a", 2)]

    async def test_several_retried_messages_of_a_key_keep_their_order(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", number) for number in range(1, 4)])
        batch = await take(consumer, 3, settle=False)
        await consumer.retry(batch[:2], 0.1)
        await consumer.retry(batch[2:], 0.0)
        await broker.publish(queue, [event("a", 4)])
        assert facts(await take(consumer, 4)) == [("a", number) for number in range(1, 5)]

    async def test_a_buried_message_does_not_come_again_and_the_next_does(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", 1)])
        await consumer.bury(await take(consumer, 1, settle=False), "poison")
        await broker.publish(queue, [event("a", 2)])
        assert facts(await take(consumer, 1)) == [("a", 2)]
        assert await is_quiet(consumer)

    async def test_a_refused_message_that_was_accepted_comes_again(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", 1), event("a", 2)])
        await consumer.refuse(await take(consumer, 2, settle=False), ServiceUnavailable("later"))
        assert facts(await take(consumer, 2)) == [("a", 1), ("a", 2)]

    # Dead letters

    async def test_a_dead_letter_says_what_it_was_and_why(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        sent = event("a", 1)
        await broker.publish(queue, [sent, event("b", 1)])
        await consumer.retry(await take(consumer, 2, settle=False), 0.0)
        batch = await take(consumer, 2, settle=False)
        await consumer.bury(sorted(batch, key=lambda each: each.key), "no such address")
        first, second = await broker.dead_letters(queue=queue.name)
        assert (first.queue, first.key, second.key) == (queue.name, "a", "b")
        assert (first.reason, first.attempts) == ("no such address", 1)
        assert first.payload == msgspec.to_builtins(sent.payload)
        assert abs(first.buried_at - time.time()) < 60
        assert first.id != second.id
        assert await broker.dead_letters(queue=queue.name, limit=1) == [first]
        assert {first.id, second.id} <= {each.id for each in await broker.dead_letters(limit=9999)}
        assert await broker.dead_letters(queue=new_queue().name) == []

    async def test_a_replayed_dead_letter_comes_again_as_if_it_were_new(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", 1), event("a", 2), event("b", 1)])
        batch = await take(consumer, 3, settle=False)
        await consumer.bury(sorted(batch, key=lambda each: each.key), "poison")
        first, second, third = await broker.dead_letters(queue=queue.name)
        assert await broker.replay([second.id, first.id, "unknown"]) == 2
        received = await take(consumer, 2)
        assert [(m.key, m.payload.version, m.attempts) for m in received] == [
            ("a", 1, 0),
            ("a", 2, 0),
        ]
        assert await broker.dead_letters(queue=queue.name) == [third]
        assert await broker.replay([first.id]) == 0

    async def test_a_discarded_dead_letter_is_gone(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", 1), event("a", 2)])
        await consumer.bury(await take(consumer, 2, settle=False), "poison")
        first, second = await broker.dead_letters(queue=queue.name)
        assert await broker.discard([first.id]) == 1
        assert await broker.discard([first.id]) == 0
        assert await broker.dead_letters(queue=queue.name) == [second]
        assert await is_quiet(consumer)

    # Several consumers

    async def test_what_a_closed_consumer_left_unsettled_goes_to_another(
        self, broker: Broker
    ) -> None:
        queue = new_queue()
        first = await broker.consume(queue)
        await broker.publish(queue, [event("a", number) for number in range(1, 4)])
        batch = await take(first, 3, settle=False)
        await first.settle(batch[:1])
        await first.close()
        second = await broker.consume(queue)
        assert facts(await take(second, 2)) == [("a", 2), ("a", 3)]

    async def test_closing_a_consumer_twice_is_fine(self, broker: Broker) -> None:
        consumer = await broker.consume(new_queue())
        await consumer.close()
        await consumer.close()

    async def test_a_key_is_with_one_consumer_at_a_time_and_in_order(self, broker: Broker) -> None:
        queue = new_queue()
        keys = [f"key-{number}" for number in range(8)]
        witness = Witness(expected=40 * len(keys))

        async def work(consumer: Consumer[Event], retry_every: int) -> None:
            for turn in count(1):
                batch = await consumer.take(5)
                witness.sees_taken(consumer, batch)
                await asyncio.sleep(0)
                witness.sees_given_back(batch)
                if turn % retry_every == 0:
                    await consumer.retry(batch, 0.01)
                else:
                    witness.sees_settled(batch)
                    await consumer.settle(batch)

        consumers = [await broker.consume(queue, prefetch=20) for _ in range(3)]
        workers = [
            asyncio.create_task(work(consumer, 3 + index))
            for index, consumer in enumerate(consumers)
        ]
        for number in range(1, 41):
            await broker.publish(queue, [event(key, number) for key in keys])
        await witness.is_done(PATIENCE)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert witness.clashes == []
        assert witness.settled == {key: list(range(1, 41)) for key in keys}

    # Node queues

    async def test_a_node_takes_what_is_published_to_its_queue(self, broker: Broker) -> None:
        queue = node_queue("websockets", uuid4().hex)
        consumer = await broker.consume(queue)
        await broker.publish(queue, [node_message("d1"), node_message("d2")])
        received = await take(consumer, 2)
        assert [message.payload for message in received] == [
            SubscriptionChanged("kit", "d1"),
            SubscriptionChanged("kit", "d2"),
        ]

    async def test_messages_to_a_node_that_is_not_there_vanish(self, broker: Broker) -> None:
        queue = node_queue("websockets", uuid4().hex)
        assert queue.kind is QueueKind.NODE
        await broker.publish(queue, [node_message("lost")])
        consumer = await broker.consume(queue)
        await broker.publish(queue, [node_message("found")])
        [received] = await take(consumer, 1)
        assert received.key == "found"

    async def test_publishing_to_a_node_that_has_gone_is_fine(self, broker: Broker) -> None:
        queue = node_queue("websockets", uuid4().hex)
        consumer = await broker.consume(queue)
        await consumer.close()
        await broker.publish(queue, [node_message("lost")])

    # Opening and closing

    async def test_an_open_broker_answers_a_ping(self, broker: Broker) -> None:
        await broker.ping()

    async def test_closing_twice_is_fine_and_nothing_is_taken_afterwards(
        self, broker: Broker
    ) -> None:
        await broker.close()
        await broker.close()
        with pytest.raises(ServiceUnavailable):
            await broker.ping()
        with pytest.raises(ServiceUnavailable):
            await broker.publish(new_queue(), [event("a", 1)])


class DurableBrokerConformance(BrokerConformance):
    """What a broker promises besides that outlives the process."""

    async def reopen(self, broker: Broker) -> Broker:
        """Close the broker and open another on the same storage."""
        raise NotImplementedError("a durable broker survives a restart: override `reopen`")

    async def test_what_was_confirmed_survives_a_restart_in_order(self, broker: Broker) -> None:
        queue = new_queue()
        consumer = await broker.consume(queue)
        await broker.publish(queue, [event("a", number) for number in range(1, 6)])
        batch = await take(consumer, 2, limit=2, settle=False)
        await consumer.settle(batch[:1])
        reopened = await self.reopen(broker)
        try:
            again = await reopened.consume(queue)
            assert facts(await take(again, 4)) == [("a", number) for number in range(2, 6)]
        finally:
            await reopened.close()
