"""The RabbitMQ broker keeps what every broker promises, and what a durable one does."""

from collections.abc import AsyncIterator, Iterator

import pytest
from rabbitmq_server import new_prefix
from services.rabbitmq import RabbitMQServer

from nexxus.adapters.rabbitmq.broker import RabbitMQBroker
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.interfaces.broker import Broker
from nexxus.testing.broker_kit import DurableBrokerConformance
from nexxus.testing.journal import Journal


@pytest.fixture(scope="module")
def settings(rabbitmq_server: RabbitMQServer) -> Iterator[RabbitMQSettings]:
    with new_prefix(rabbitmq_server) as prefix:
        yield RabbitMQSettings(url=rabbitmq_server.url, prefix=prefix, partitions=4)


class TestRabbitMQBroker(DurableBrokerConformance):
    @pytest.fixture
    async def broker(self, settings: RabbitMQSettings) -> AsyncIterator[RabbitMQBroker]:
        self.settings = settings
        broker = RabbitMQBroker(settings, logger=Journal())
        await broker.open()
        yield broker
        await broker.close()

    async def reopen(self, broker: Broker) -> RabbitMQBroker:
        await broker.close()
        reopened = RabbitMQBroker(self.settings, logger=Journal())
        await reopened.open()
        return reopened
