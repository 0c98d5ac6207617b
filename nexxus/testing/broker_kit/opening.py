"""Opening a broker, closing it, and what is there after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker
from nexxus.testing.broker_kit.connecting import BrokerOptions, OpenBroker, opened
from nexxus.testing.broker_kit.materials import (
    consume,
    declared,
    event,
    eventually,
    facts,
    new_topic,
    take,
)
from nexxus.testing.broker_kit.members import MemberProcess, Sightings


class OpeningConformance:
    """Opening, closing, asking."""

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
            await broker.publish(new_topic(), [event("a", 1)])


class RestartConformance:
    """What survives the end of the process. `patience` is in seconds."""

    patience: ClassVar[float] = 60.0

    @pytest.fixture
    def open_broker(self) -> OpenBroker:
        """Creates a broker on the installation under test; picklable."""
        raise NotImplementedError("a durable broker must override `open_broker`")

    @pytest.fixture
    async def broker(self, open_broker: OpenBroker) -> AsyncIterator[Broker]:
        broker = await opened(open_broker, BrokerOptions())
        yield broker
        await broker.close()

    async def test_what_was_confirmed_survives_a_restart_in_order(
        self, broker: Broker, open_broker: OpenBroker
    ) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 6)])
        batch = await take(consumer, 2, limit=2, settle=False)
        await consumer.settle(batch[:1])
        await broker.close()
        reopened = await opened(open_broker, BrokerOptions())
        try:
            again = await consume(reopened, group)
            assert facts(await take(again, 4)) == [("a", number) for number in range(2, 6)]
        finally:
            await reopened.close()

    async def test_what_a_killed_process_held_is_there_after_a_restart_in_order(
        self, broker: Broker, open_broker: OpenBroker
    ) -> None:
        group = await declared(broker)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 6)])
        await broker.close()
        killed = await MemberProcess.start(open_broker, BrokerOptions(), Sightings())
        await killed.join(group, holds=True)

        async def has_all() -> bool:
            return len(killed.taken) == 5

        await eventually(has_all)
        await killed.settle(2)
        killed.kill()
        await killed.end()

        reopened = await opened(open_broker, BrokerOptions())
        try:
            async with asyncio.timeout(self.patience):
                consumer = await consume(reopened, group)
                (first,) = facts(await take(consumer, 1))
                rest = facts(await take(consumer, 5 - first[1]))
                # What was settled may come again, if the broker had not heard of it.
                assert first[1] <= 3
                assert [first, *rest] == [("a", number) for number in range(first[1], 6)]
        finally:
            await reopened.close()
