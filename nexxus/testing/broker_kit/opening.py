"""Opening a broker, closing it, and what is there after a restart."""

from __future__ import annotations

import pytest

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker
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

    async def reopen(self, broker: Broker) -> Broker:
        """Close the broker and open another on the same storage."""
        raise NotImplementedError("a durable broker survives a restart: override `reopen`")

    async def test_what_was_confirmed_survives_a_restart_in_order(self, broker: Broker) -> None:
        group = await declared(broker)
        consumer = await consume(broker, group)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 6)])
        batch = await take(consumer, 2, limit=2, settle=False)
        await consumer.settle(batch[:1])
        reopened = await self.reopen(broker)
        try:
            again = await consume(reopened, group)
            assert facts(await take(again, 4)) == [("a", number) for number in range(2, 6)]
        finally:
            await reopened.close()
