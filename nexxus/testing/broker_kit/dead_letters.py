"""The messages that were buried, and what may be done with them."""

from __future__ import annotations

import time

import msgspec

from nexxus.interfaces.broker import Broker
from nexxus.testing.broker_kit.materials import event, is_quiet, new_queue, take


class DeadLettersConformance:
    """Dead letters."""

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
