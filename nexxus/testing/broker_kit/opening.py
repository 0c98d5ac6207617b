"""Opening a broker, closing it, and what is there after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker
from nexxus.testing.broker_kit.connecting import BrokerOptions, OpenBroker, opened
from nexxus.testing.broker_kit.materials import consume, declared, event, facts, new_topic, take


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
    """What outlives the process."""

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
