"""What becomes of a message that was taken."""

from __future__ import annotations

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker
from nexxus.testing.broker_kit.materials import consume, declared, event, facts, take


class SettlingConformance:
    """Settling, retrying, refusing."""

    async def test_what_is_settled_does_not_come_again(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", 1), event("b", 1)])
        await take(consumer, 2)
        await consumer.close()
        again = await consume(broker, group)
        await broker.publish(group.topic, [event("a", 2)])
        assert facts(await take(again, 1)) == [("a", 2)]

    async def test_a_retried_message_comes_again_with_one_attempt_more(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", 1)])
        for attempts in range(3):
            [received] = await take(consumer, 1, settle=False)
            assert (received.key, received.attempts) == ("a", attempts)
            await consumer.retry([received], 0.01)
        [received] = await take(consumer, 1)
        assert received.attempts == 3

    async def test_a_retried_message_comes_before_the_later_ones_of_its_key(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 6)])
        first = await take(consumer, 1, limit=1, settle=False)
        await consumer.retry(first, 0.2)
        await broker.publish(group.topic, [event("a", 6)])
        assert facts(await take(consumer, 6)) == [("a", number) for number in range(1, 7)]

    async def test_a_retried_message_does_not_hold_up_other_keys(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", 1)])
        await consumer.retry(await take(consumer, 1, settle=False), 1.0)
        await broker.publish(group.topic, [event("a", 2), event("b", 1)])
        assert facts(await take(consumer, 3)) == [("b", 1), ("a", 1), ("a", 2)]

    async def test_several_retried_messages_of_a_key_keep_their_order(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 4)])
        batch = await take(consumer, 3, settle=False)
        await consumer.retry(batch[:2], 0.1)
        await consumer.retry(batch[2:], 0.0)
        await broker.publish(group.topic, [event("a", 4)])
        assert facts(await take(consumer, 4)) == [("a", number) for number in range(1, 5)]

    async def test_a_message_that_only_had_to_wait_has_no_attempt_more(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", 1), event("a", 2)])
        await consumer.retry(await take(consumer, 2, settle=False), 0.01, failed=False)
        again = await take(consumer, 2)
        assert [(m.payload.version, m.attempts) for m in again] == [(1, 0), (2, 0)]

    async def test_a_refused_message_that_was_accepted_comes_again(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", 1), event("a", 2)])
        await consumer.refuse(await take(consumer, 2, settle=False), ServiceUnavailable("later"))
        assert facts(await take(consumer, 2)) == [("a", 1), ("a", 2)]
