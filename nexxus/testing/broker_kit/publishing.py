"""Publishing to a topic and taking from it: what arrives, and in which order."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from nexxus.domain.events import Event
from nexxus.interfaces.broker import Broker, Received
from nexxus.testing.broker_kit.materials import (
    A_MOMENT,
    consume,
    declared,
    event,
    eventually,
    facts,
    is_quiet,
    new_topic,
    take,
)


class PublishingConformance:
    """Publishing and taking."""

    async def test_what_is_published_is_taken_as_it_was(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        sent = event("a", 1)
        await broker.publish(group.topic, [sent])
        [received] = await take(consumer, 1)
        assert (received.key, received.payload, received.attempts) == ("a", sent.payload, 0)

    async def test_a_publish_of_nothing_is_fine(self, broker: Broker) -> None:
        await broker.publish(new_topic(), [])

    async def test_what_was_published_before_the_first_consumer_is_kept(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        await broker.publish(group.topic, [event("a", 1), event("a", 2)])
        consumer = await consume(broker, group)
        assert facts(await take(consumer, 2)) == [("a", 1), ("a", 2)]

    async def test_the_messages_of_a_key_come_in_the_order_they_were_published(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        keys = [f"key-{number}" for number in range(10)]
        for number in range(1, 21):
            await broker.publish(group.topic, [event(key, number) for key in keys])
        by_key = defaultdict(list)
        for key, number in facts(await take(consumer, 200, limit=7)):
            by_key[key].append(number)
        assert by_key == {key: list(range(1, 21)) for key in keys}

    async def test_publishers_at_the_same_time_keep_the_order_in_which_they_began(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        async with asyncio.TaskGroup() as publishers:
            for number in range(1, 101):
                publishers.create_task(
                    broker.publish(group.topic, [event(f"key-{number % 3}", number)])
                )
        by_key = defaultdict(list)
        for key, number in facts(await take(consumer, 100)):
            by_key[key].append(number)
        assert by_key == {f"key-{n}": list(range(n or 3, 101, 3)) for n in range(3)}

    async def test_a_batch_is_at_most_as_large_as_asked_for(self, broker: Broker) -> None:
        group = await declared(broker)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 11)])
        consumer = await consume(broker, group)
        taken: list[tuple[str, int]] = []
        while len(taken) < 10:
            batch = await take(consumer, 1, limit=3)
            assert len(batch) <= 3
            taken += facts(batch)
        assert taken == [("a", number) for number in range(1, 11)]

    async def test_no_more_than_prefetch_are_out_at_once(self, broker: Broker) -> None:
        group = await declared(broker)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 6)])
        consumer = await consume(broker, group, prefetch=2)
        first = await take(consumer, 2, limit=10, settle=False)
        assert facts(first) == [("a", 1), ("a", 2)]
        assert await is_quiet(consumer)
        await consumer.settle(first)
        assert facts(await take(consumer, 3, limit=10)) == [("a", 3), ("a", 4), ("a", 5)]

    async def test_a_take_waits_for_the_next_message(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        waiting = asyncio.create_task(take(consumer, 1))
        assert not (await asyncio.wait((waiting,), timeout=A_MOMENT))[0]
        await broker.publish(group.topic, [event("a", 1)])
        assert facts(await waiting) == [("a", 1)]

    async def test_cancelling_a_take_loses_nothing(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        taken: list[Received[Event]] = []
        for number in range(1, 51):
            task = asyncio.create_task(consumer.take(5))
            if number % 2:
                await asyncio.sleep(0)
            await broker.publish(group.topic, [event("a", number)])
            task.cancel()
            [result] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(result, list):
                taken += result
                await consumer.settle(result)
        taken += await take(consumer, 50 - len(taken))
        assert facts(taken) == [("a", number) for number in range(1, 51)]

    async def test_the_depth_is_what_waits(self, broker: Broker) -> None:
        group = await declared(broker)
        assert await broker.depth(group) == 0
        await broker.publish(group.topic, [event("a", number) for number in range(1, 6)])

        async def five_wait() -> bool:
            return await broker.depth(group) == 5

        async def none_waits() -> bool:
            return await broker.depth(group) == 0

        await eventually(five_wait)
        await take(await consume(broker, group), 5)
        await eventually(none_waits)
