"""The RabbitMQ broker keeps what every broker promises, and what a durable one does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from rabbitmq_server import new_prefix
from services.rabbitmq import RabbitMQServer
from tcp_proxy import TcpProxy

from nexxus.adapters.rabbitmq.broker import RabbitMQBroker
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.testing.broker_kit import BrokerOptions, DurableBrokerConformance, OpenBroker
from nexxus.testing.journal import Journal


@pytest.fixture(scope="module")
def prefix(rabbitmq_server: RabbitMQServer) -> Iterator[str]:
    with new_prefix(rabbitmq_server) as prefix:
        yield prefix


def create(url: str, prefix: str, options: BrokerOptions) -> RabbitMQBroker:
    settings = RabbitMQSettings(
        url=url,
        prefix=prefix,
        partitions=4,
        heartbeat=1,
        max_length=options.queue_limit or 10_000,
        node_expires=options.mailbox_life or 60.0,
    )
    return RabbitMQBroker(settings, logger=Journal())


class TestRabbitMQBroker(DurableBrokerConformance):
    @pytest.fixture
    async def proxy(self, rabbitmq_server: RabbitMQServer) -> AsyncIterator[TcpProxy]:
        async with TcpProxy(rabbitmq_server.port) as self.proxy:
            yield self.proxy

    @pytest.fixture
    def open_broker(self, proxy: TcpProxy, prefix: str) -> OpenBroker:
        return partial(create, f"amqp://guest:guest@127.0.0.1:{proxy.port}/", prefix)

    async def cut_connections(self) -> None:
        self.proxy.reset()
