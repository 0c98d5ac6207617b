"""Consuming ends when it is told to, whatever becomes of what was begun."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from waiting import PATIENCE

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import TRANSPORT_MANAGER, Consumer, Message, Received
from nexxus.testing.journal import Journal
from nexxus.toolkit.consuming import consume


async def test_a_broker_that_goes_away_under_the_last_batch_does_not_keep_the_consumer() -> None:
    broker = InProcessBroker(InProcessBrokerSettings())
    await broker.open()
    await broker.publish(TRANSPORT_MANAGER, [Message("key", "payload")])  # type: ignore[list-item]
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def process(consumer: Consumer[Any], batch: Sequence[Received[Any]]) -> None:
        begun.set()
        await may_go_on.wait()
        raise ServiceUnavailable("the broker is away")

    consuming = asyncio.create_task(
        consume(broker, TRANSPORT_MANAGER, process, batch=1, logger=Journal())
    )
    await begun.wait()
    consuming.cancel()
    may_go_on.set()
    await asyncio.wait([consuming], timeout=PATIENCE / 10)

    assert consuming.cancelled()
    await broker.close()
