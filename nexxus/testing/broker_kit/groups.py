"""Groups: each takes all of its topic."""

from __future__ import annotations

import msgspec
import pytest

from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Group, Message, Topic, Undecodable
from nexxus.testing.broker_kit.materials import (
    consume,
    declared,
    event,
    eventually,
    facts,
    is_quiet,
    new_topic,
    take,
)


class Number(msgspec.Struct, frozen=True):
    """A payload that is no event."""

    number: int


class GroupsConformance:
    """Declaring groups, and what each of them gets."""

    async def test_every_group_takes_what_is_published_once(self, broker: Broker) -> None:
        topic = new_topic()
        groups = [await declared(broker, topic) for _ in range(3)]
        consumers = [await consume(broker, group) for group in groups]
        await broker.publish(topic, [event("a", 1), event("b", 1), event("a", 2)])
        for consumer in consumers:
            taken = facts(await take(consumer, 3))
            assert sorted(taken) == [("a", 1), ("a", 2), ("b", 1)]
            assert [fact for fact in taken if fact[0] == "a"] == [("a", 1), ("a", 2)]

    async def test_a_group_settles_for_itself(self, broker: Broker) -> None:
        topic = new_topic()
        one, other = await declared(broker, topic), await declared(broker, topic)
        await broker.publish(topic, [event("a", 1)])
        consumer = await consume(broker, one)
        await take(consumer, 1)
        assert facts(await take(await consume(broker, other), 1)) == [("a", 1)]
        assert await is_quiet(consumer)

    async def test_a_declared_group_misses_nothing_while_it_has_no_member(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        await broker.publish(group.topic, [event("a", 1)])
        await broker.declare(group)
        await broker.publish(group.topic, [event("a", 2)])
        assert facts(await take(await consume(broker, group), 2)) == [("a", 1), ("a", 2)]

    async def test_topics_do_not_mix(self, broker: Broker) -> None:
        one, other = await declared(broker), await declared(broker)
        consumer, other_consumer = await consume(broker, one), await consume(broker, other)
        await broker.publish(one.topic, [event("a", 1)])
        await broker.publish(other.topic, [event("a", 2)])
        assert facts(await take(consumer, 1)) == [("a", 1)]
        assert facts(await take(other_consumer, 1)) == [("a", 2)]

    async def test_publishing_to_a_topic_without_groups_is_refused(self, broker: Broker) -> None:
        with pytest.raises(ServiceUnavailable, match="no group"):
            await broker.publish(new_topic(), [event("a", 1)])

    async def test_a_removed_group_takes_nothing_and_holds_up_no_publisher(
        self, broker: Broker
    ) -> None:
        topic = new_topic()
        kept, removed = await declared(broker, topic), await declared(broker, topic)
        await broker.publish(topic, [event("a", 1)])
        await broker.remove(removed)
        await broker.remove(removed)
        await broker.publish(topic, [event("a", 2)])
        assert await broker.depth(removed) == 0
        assert facts(await take(await consume(broker, kept), 2)) == [("a", 1), ("a", 2)]

    async def test_what_is_redelivered_comes_to_one_group_behind_what_waits(
        self, broker: Broker
    ) -> None:
        topic = new_topic()
        one, other = await declared(broker, topic), await declared(broker, topic)
        await broker.publish(topic, [event("a", 1)])
        await broker.redeliver(one, [event("a", 9)])
        assert facts(await take(await consume(broker, one), 2)) == [("a", 1), ("a", 9)]
        consumer = await consume(broker, other)
        assert facts(await take(consumer, 1)) == [("a", 1)]
        assert await is_quiet(consumer)


class EncodingConformance:
    """What a broker promises besides that puts messages into bytes."""

    async def test_a_message_that_cannot_be_decoded_is_set_aside_and_holds_up_none(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        numbers: Topic[Number] = Topic(group.topic.name, Number, must_survive=False)
        await broker.publish(numbers, [Message("a", Number(1))])
        await broker.publish(group.topic, [event("a", 2)])
        found: list[Undecodable] = []

        async def set_aside(undecodable: Undecodable) -> None:
            found.append(undecodable)
            if len(found) == 1:
                raise ServiceUnavailable("nowhere to put it yet")

        same: Group[Event] = group
        consumer = await broker.consume(same, prefetch=10, set_aside=set_aside)
        assert facts(await take(consumer, 1)) == [("a", 2)]

        async def set_aside_twice() -> bool:
            return len(found) == 2

        await eventually(set_aside_twice)
        assert found[1].key == "a"
        assert msgspec.json.decode(found[1].body) == {"number": 1}
        assert found[1].reason
