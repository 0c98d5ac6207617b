"""The in-process broker keeps what every broker promises."""

from collections.abc import AsyncIterator

import pytest

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.testing.broker_kit import BrokerConformance


class TestInProcessBroker(BrokerConformance):
    @pytest.fixture
    async def broker(self) -> AsyncIterator[InProcessBroker]:
        broker = InProcessBroker(InProcessBrokerSettings())
        await broker.open()
        yield broker
        await broker.close()
