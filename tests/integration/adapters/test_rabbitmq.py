"""RabbitMQ when things go wrong: killed servers, deleted queues, poison, rebalancing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from rabbitmq_server import new_prefix
from services.rabbitmq import RabbitMQServer

from nexxus.adapters.rabbitmq.broker import RabbitMQBroker
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.domain.events import Event
from nexxus.errors import MessagesLost, ServiceUnavailable, StartupError
from nexxus.interfaces.broker import Consumer, Group, Message, Received
from nexxus.testing.broker_kit.materials import (
    Note,
    consume,
    declared,
    event,
    eventually,
    facts,
    new_group,
    new_mailbox,
    take,
)
from nexxus.testing.journal import Journal

KEYS = [f"key-{number}" for number in range(24)]
PATIENCE = 60.0
OURS = "reads or writes for a test"

OpenBroker = Callable[..., Any]


@pytest.fixture
def prefix(rabbitmq_server: RabbitMQServer) -> Iterator[str]:
    with new_prefix(rabbitmq_server) as prefix:
        yield prefix


@pytest.fixture
async def open_broker(rabbitmq_server: RabbitMQServer, prefix: str) -> AsyncIterator[OpenBroker]:
    """Opens brokers of one installation, as its nodes would; closes them at the end."""
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:

        async def opened(**settings: Any) -> RabbitMQBroker:
            broker = RabbitMQBroker(
                RabbitMQSettings(url=rabbitmq_server.url, prefix=prefix, **settings),
                logger=Journal(),
                node=prefix,
            )
            await broker.open()
            stack.push_async_callback(broker.close)
            return broker

        yield opened
        for task in asyncio.all_tasks() - before:
            if task.get_name() == OURS:
                task.cancel()


class Reader:
    """Takes and settles whatever comes, and remembers the order in which it first came."""

    def __init__(self, consumer: Consumer[Event], seen: dict[str, list[int]]) -> None:
        self.consumer = consumer
        self.keys: set[str] = set()
        """Those of the messages that came lately."""
        self._seen = seen
        self.task = asyncio.create_task(self._read(), name=OURS)

    async def _read(self) -> None:
        while True:
            batch = await self.consumer.take(20)
            self._remember(batch)
            await self.consumer.settle(batch)

    def _remember(self, batch: list[Received[Event]]) -> None:
        for key, number in facts(batch):
            self.keys.add(key)
            if number not in self._seen[key]:
                self._seen[key].append(number)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.consumer.close()


class Writer:
    """Publishes the numbers 1, 2, 3… of every key, each until it is confirmed."""

    def __init__(self, broker: RabbitMQBroker, group: Group[Event]) -> None:
        self._broker = broker
        self._group = group
        self.confirmed = 0
        self.refused = 0
        self._stopping = False
        self.task = asyncio.create_task(self._write(), name=OURS)

    async def _write(self) -> None:
        while not self._stopping:
            messages = [event(key, self.confirmed + 1) for key in KEYS]
            while True:
                try:
                    await self._broker.publish(self._group.topic, messages)
                    break
                except ServiceUnavailable:
                    self.refused += 1
                    await asyncio.sleep(0.01)
            self.confirmed += 1

    async def stop(self) -> dict[str, list[int]]:
        """What must have been seen by whoever reads everything."""
        self._stopping = True
        await asyncio.wait_for(self.task, PATIENCE)
        return {key: list(range(1, self.confirmed + 1)) for key in KEYS}


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, longer than the kit would."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def everything_is_seen(seen: dict[str, list[int]], expected: dict[str, list[int]]) -> None:
    """Wait for the last message of every key, and compare."""
    with suppress(TimeoutError):
        await until(lambda: all(expected[key][-1] in seen[key] for key in expected))
    assert seen == expected


# Sharing


# RabbitMQ itself


async def test_nothing_confirmed_is_lost_and_order_is_kept_when_rabbitmq_is_killed(
    rabbitmq_server: RabbitMQServer, open_broker: OpenBroker
):
    group, seen, mailbox = new_group(), defaultdict(list), new_mailbox()
    publisher = await open_broker()
    await publisher.declare(group)
    readers = [Reader(await consume(await open_broker(), group), seen) for _ in range(2)]
    receiver = await (await open_broker()).receive(mailbox)
    [held] = [await consume(publisher, new_group())]
    writer = Writer(publisher, group)
    await until(lambda: writer.confirmed >= 10)
    await publisher.send(mailbox, [Note("first"), Note("second")])
    taken = await receiver.take(1)

    rabbitmq_server.kill()
    await until(lambda: writer.refused > 0)
    with pytest.raises(ServiceUnavailable):
        await publisher.ping()
    await asyncio.to_thread(rabbitmq_server.start)

    before = writer.confirmed
    await until(lambda: writer.confirmed > before + 5)
    await publisher.ping()
    await everything_is_seen(seen, await writer.stop())
    async with asyncio.timeout(PATIENCE):
        while taken[-1] != Note("second"):
            taken += await receiver.take(10)
    assert list(dict.fromkeys(note.text for note in taken)) == ["first", "second"]
    await held.close()
    for reader in readers:
        await reader.stop()


async def test_where_there_is_no_rabbitmq_the_start_is_to_be_tried_again():
    broker = RabbitMQBroker(
        RabbitMQSettings(url="amqp://guest:guest@127.0.0.1:9/"), logger=Journal()
    )
    with pytest.raises(ServiceUnavailable):
        await broker.open()
    await broker.close()


async def test_a_wrong_password_stops_the_start(rabbitmq_server: RabbitMQServer):
    url = rabbitmq_server.url.replace("guest@", "wrong@")
    broker = RabbitMQBroker(RabbitMQSettings(url=url), logger=Journal())
    with pytest.raises(StartupError, match="refuses") as caught:
        await broker.open()
    assert "wrong" not in str(caught.value)


async def test_of_several_addresses_one_that_answers_is_taken(
    rabbitmq_server: RabbitMQServer, prefix: str
):
    url = f"amqp://guest:guest@127.0.0.1:9/, {rabbitmq_server.url}"
    broker = RabbitMQBroker(RabbitMQSettings(url=url, prefix=prefix), logger=Journal())
    await broker.open()
    await broker.ping()
    await broker.close()


async def test_queues_declared_with_other_settings_are_no_surprise_later(open_broker: OpenBroker):
    group = await declared(await open_broker())
    with pytest.raises(StartupError, match="exists in RabbitMQ with other arguments"):
        await (await open_broker(max_length=5)).declare(group)


async def test_a_queue_that_somebody_deleted_is_made_anew(
    rabbitmq_server: RabbitMQServer, prefix: str, open_broker: OpenBroker
):
    broker = await open_broker()
    group = await declared(broker)
    consumer = await consume(broker, group)
    rabbitmq_server.delete_queues(f"{prefix}.{group.name}")
    await broker.publish(group.topic, [event("a", 1)])
    assert facts(await take(consumer, 1)) == [("a", 1)]


async def test_a_node_is_told_when_its_mailbox_was_lost_and_goes_on(
    rabbitmq_server: RabbitMQServer, prefix: str, open_broker: OpenBroker
):
    broker, mailbox = await open_broker(), new_mailbox()
    receiver = await broker.receive(mailbox)
    rabbitmq_server.delete_queues(f"{prefix}.{mailbox.name}")
    with pytest.raises(MessagesLost):
        await asyncio.wait_for(receiver.take(1), PATIENCE)

    async def is_there_again() -> bool:
        return f"{prefix}.{mailbox.name}" in rabbitmq_server.queues(prefix)

    await eventually(is_there_again)
    await broker.send(mailbox, [Note("d1")])
    assert await asyncio.wait_for(receiver.take(1), PATIENCE) == [Note("d1")]


# Messages


async def test_attempts_count_the_consumers_that_ended_with_a_message(open_broker: OpenBroker):
    broker = await open_broker(partitions=1)
    group = await declared(broker)
    await broker.publish(group.topic, [event("deadly", 1)])
    for attempts in range(5):
        consumer = await consume(broker, group)
        [received] = await take(consumer, 1, settle=False)
        assert received.attempts == attempts
        await consumer.close()


async def test_a_retried_message_of_a_lost_connection_still_comes_before_the_later_ones(
    rabbitmq_server: RabbitMQServer, open_broker: OpenBroker, prefix: str
):
    broker = await open_broker(partitions=1)
    group = await declared(broker)
    consumer = await consume(broker, group)
    await broker.publish(group.topic, [event("a", number) for number in (1, 2, 3)])
    await consumer.retry(await take(consumer, 1, limit=1, settle=False), 3600)
    await asyncio.to_thread(rabbitmq_server.close_connections, f"{prefix} consumes")
    assert facts(await take(consumer, 3)) == [("a", 1), ("a", 2), ("a", 3)]


async def test_a_message_without_a_key_is_like_any_other(open_broker: OpenBroker):
    broker = await open_broker()
    group = await declared(broker)
    payload = event("x", 1).payload
    await broker.publish(group.topic, [Message("", payload)])
    [received] = await take(await consume(broker, group), 1)
    assert (received.key, received.payload) == ("", payload)


async def test_a_consumer_that_has_left_leaves_nothing_behind_in_rabbitmq(
    rabbitmq_server: RabbitMQServer, prefix: str, open_broker: OpenBroker
):
    broker = await open_broker(partitions=1)
    group = await declared(broker)
    consumers = [await consume(broker, group) for _ in range(3)]

    async def greet_each_other() -> bool:
        return len(rabbitmq_server.queues(f"{prefix}.consumers.")) == 3

    async def are_gone() -> bool:
        return rabbitmq_server.queues(prefix) == [f"{prefix}.{group.name}.0"]

    await eventually(greet_each_other)
    for consumer in consumers:
        await consumer.close()
    await eventually(are_gone)
