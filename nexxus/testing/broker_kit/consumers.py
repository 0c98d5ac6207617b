"""Several consumers of one group."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import count

from nexxus.domain.events import Event
from nexxus.interfaces.broker import Broker, Consumer, Received
from nexxus.testing.broker_kit.materials import PATIENCE, consume, declared, event, facts, take


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


class ConsumersConformance:
    """Who has a message, and who has it next."""

    async def test_what_a_closed_consumer_left_unsettled_goes_to_another(
        self, broker: Broker
    ) -> None:
        group = await declared(broker)
        first = await consume(broker, group)
        await broker.publish(group.topic, [event("a", number) for number in range(1, 4)])
        batch = await take(first, 3, settle=False)
        await first.settle(batch[:1])
        await first.close()
        second = await consume(broker, group)
        assert facts(await take(second, 2)) == [("a", 2), ("a", 3)]

    async def test_closing_a_consumer_twice_is_fine(self, broker: Broker) -> None:
        consumer = await consume(broker, await declared(broker))
        await consumer.close()
        await consumer.close()

    async def test_a_key_is_with_one_consumer_at_a_time_and_in_order(self, broker: Broker) -> None:
        group = await declared(broker)
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

        consumers = [await consume(broker, group, prefetch=20) for _ in range(3)]
        workers = [
            asyncio.create_task(work(consumer, 3 + index))
            for index, consumer in enumerate(consumers)
        ]
        for number in range(1, 41):
            await broker.publish(group.topic, [event(key, number) for key in keys])
        await witness.is_done(PATIENCE)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert witness.clashes == []
        assert witness.settled == {key: list(range(1, 41)) for key in keys}
