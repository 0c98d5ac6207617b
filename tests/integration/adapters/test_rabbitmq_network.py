"""RabbitMQ behind a bad network: who waits for it is told in time, and may go at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aio_pika.abc import AbstractConnection
from rabbitmq_server import new_prefix
from services.rabbitmq import RabbitMQServer
from tcp_proxy import TcpProxy
from waiting import PATIENCE, eventually

from nexxus.adapters.rabbitmq.broker import RabbitMQBroker
from nexxus.adapters.rabbitmq.link import Link
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.errors import ServiceUnavailable
from nexxus.testing.broker_kit.materials import consume, declared, event, facts, new_group, take
from nexxus.testing.journal import Journal

SOON = 10.0
"""Seconds that are many times what is promised here, and far less than what was once taken."""

Settings = Callable[..., RabbitMQSettings]
OpenBroker = Callable[..., Any]
CutOff = Callable[[], Awaitable[None]]


async def as_it_is(connection: AbstractConnection) -> AbstractConnection:
    """Equips a link with its connection alone."""
    return connection


@pytest.fixture
async def proxy(rabbitmq_server: RabbitMQServer) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(rabbitmq_server.port) as proxy:
        yield proxy


@pytest.fixture
def settings_with(rabbitmq_server: RabbitMQServer, proxy: TcpProxy) -> Iterator[Settings]:
    """Settings of an installation that has the proxy before its RabbitMQ."""
    url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
    with new_prefix(rabbitmq_server) as prefix:
        yield lambda **settings: RabbitMQSettings(url=url, prefix=prefix, **settings)


@pytest.fixture
async def open_broker(
    proxy: TcpProxy, settings_with: Settings, journal: Journal
) -> AsyncIterator[OpenBroker]:
    async with AsyncExitStack() as stack:

        async def opened(**settings: Any) -> RabbitMQBroker:
            broker = RabbitMQBroker(settings_with(**settings), logger=journal)
            await broker.open()
            stack.push_async_callback(broker.close)
            return broker

        yield opened
        proxy.stalled = proxy.refuses = False


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def cut_off(proxy: TcpProxy, journal: Journal) -> CutOff:
    """Takes RabbitMQ away; returns when its publishers know."""

    async def cut() -> None:
        proxy.refuses = True
        proxy.reset()
        await eventually(
            lambda: any(
                "was lost" in record.message and "publishes" in record.fields["connection"]
                for record in journal.records
            )
        )

    return cut


async def test_of_many_publishers_each_is_refused_when_its_own_patience_ends(
    open_broker: OpenBroker, cut_off: CutOff
):
    broker = await open_broker(patience=0.5)
    group = await declared(broker)
    await cut_off()

    async with asyncio.timeout(SOON):
        outcomes = await asyncio.gather(
            *(broker.publish(group.topic, [event("a", number)]) for number in range(100)),
            return_exceptions=True,
        )

    assert {type(outcome) for outcome in outcomes} == {ServiceUnavailable}


async def test_publishers_that_waited_for_rabbitmq_keep_their_order(
    proxy: TcpProxy, open_broker: OpenBroker, cut_off: CutOff
):
    broker = await open_broker(patience=PATIENCE)
    group = await declared(broker)
    consumer = await consume(broker, group)
    await cut_off()
    numbers = range(1, 101)

    async with asyncio.TaskGroup() as publishers:
        for number in numbers:
            publishers.create_task(broker.publish(group.topic, [event("a", number)]))
        await asyncio.sleep(0)  # all of them wait now
        proxy.refuses = False

    assert facts(await take(consumer, 100)) == [("a", number) for number in numbers]


async def test_publishers_to_a_queue_that_is_not_made_in_time_are_refused(
    proxy: TcpProxy, open_broker: OpenBroker
):
    broker, group = await open_broker(publish_timeout=0.5, patience=0.5), new_group()
    proxy.stalled = True

    async with asyncio.timeout(SOON):
        outcomes = await asyncio.gather(
            *(broker.redeliver(group, [event("a", number)]) for number in range(20)),
            return_exceptions=True,
        )

    assert {type(outcome) for outcome in outcomes} == {ServiceUnavailable}


async def test_a_link_can_be_closed_while_it_lets_a_lost_connection_go(
    proxy: TcpProxy, settings_with: Settings, journal: Journal
):
    link = Link(settings_with(), "is closed", as_it_is, journal)
    await link.open()
    proxy.stalled = True  # so that letting go takes its time
    link.fail(await link.get())
    await eventually(lambda: any("was lost" in each.message for each in journal.records))

    async with asyncio.timeout(SOON):
        await link.close()


async def test_a_link_survives_an_error_that_nobody_foresaw(
    proxy: TcpProxy, settings_with: Settings, journal: Journal
):
    attempts: list[AbstractConnection] = []

    async def equip(connection: AbstractConnection) -> int:
        attempts.append(connection)
        if len(attempts) == 2:
            raise KeyError("a bug of the client library")
        return len(attempts)

    link = Link(settings_with(), "is robust", equip, journal)
    await link.open()
    link.fail(await link.get())
    await eventually(lambda: len(attempts) == 3)
    assert await link.get(PATIENCE) == 3
    await link.close()


async def test_a_consumer_whose_start_was_cancelled_does_not_stay_in_line(
    proxy: TcpProxy, open_broker: OpenBroker, cut_off: CutOff
):
    broker = await open_broker(partitions=1, patience=PATIENCE)
    group = await declared(broker)
    await cut_off()
    starting = asyncio.create_task(consume(broker, group))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    proxy.refuses = False
    await broker.publish(group.topic, [event("a", 1)])
    assert facts(await take(await consume(broker, group), 1)) == [("a", 1)]
