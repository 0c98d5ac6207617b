"""The node's inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
from waiting import eventually

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.cluster.inbox import NodeInbox
from nexxus.cluster.messages import ApplicationChanged, NodeMessage, Outcome
from nexxus.errors import MessagesLost, ServiceUnavailable
from nexxus.interfaces.broker import Broker, Message, node_queue
from nexxus.interfaces.logger import Level, Logger, Record

QUEUE = node_queue("websockets", "n1")


class Journal(Logger):
    def __init__(self) -> None:
        self.messages: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def is_enabled(self, level: Level) -> bool:
        return True

    def write(self, record: Record) -> None:
        self.messages.append(record.message)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = InProcessBroker(InProcessBrokerSettings())
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
async def inbox(broker: Broker, journal: Journal) -> AsyncIterator[NodeInbox]:
    inbox = NodeInbox(broker, transport="websockets", node="n1", logger=journal)
    await inbox.open()
    task = asyncio.create_task(inbox.run())
    yield inbox
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def tell(broker: Broker, *messages: NodeMessage) -> None:
    await broker.publish(QUEUE, [Message[NodeMessage]("key", message) for message in messages])


async def test_messages_go_in_order_to_every_handler_of_their_type(
    inbox: NodeInbox, broker: Broker
) -> None:
    told: list[tuple[str, Any]] = []
    inbox.on(Outcome, lambda outcome: told.append(("first", outcome.operation_id)))
    inbox.on(Outcome, lambda outcome: told.append(("second", outcome.operation_id)))
    inbox.on(ApplicationChanged, lambda changed: told.append(("app", changed.app_id)))

    await tell(broker, Outcome("1"), ApplicationChanged("a"), Outcome("2"))

    await eventually(lambda: len(told) == 5)
    assert told == [("first", "1"), ("second", "1"), ("app", "a"), ("first", "2"), ("second", "2")]


async def test_a_handler_that_fails_is_logged_and_holds_nothing_up(
    inbox: NodeInbox, broker: Broker, journal: Journal
) -> None:
    told: list[str] = []

    def fail(_: Outcome) -> None:
        raise ValueError("a bug")

    inbox.on(Outcome, fail)
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))

    await tell(broker, Outcome("1"), Outcome("2"))

    await eventually(lambda: told == ["1", "2"])
    assert len(journal.messages) == 2


async def test_a_message_that_nobody_handles_is_done_with(inbox: NodeInbox, broker: Broker) -> None:
    await tell(broker, ApplicationChanged("a"))

    async def is_empty() -> bool:
        return await broker.depth(QUEUE) == 0

    await eventually(is_empty)


async def test_a_loss_of_messages_is_told_before_later_ones_are_handled(
    broker: Broker, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = NodeInbox(broker, transport="websockets", node="n1", logger=journal)
    told: list[str] = []
    inbox.on_loss(lambda: told.append("loss"))
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))
    consumer = await broker.consume(QUEUE)
    take, losses = consumer.take, [MessagesLost("expired")]

    async def lose_first(limit: int) -> Any:
        if losses:
            raise losses.pop()
        return await take(limit)

    monkeypatch.setattr(consumer, "take", lose_first)
    monkeypatch.setattr(broker, "consume", AsyncMock(return_value=consumer))
    await tell(broker, Outcome("1"))
    task = asyncio.create_task(inbox.run())

    await eventually(lambda: told == ["loss", "1"])
    assert journal.messages == ["messages to this node were lost"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_broker_that_was_away_is_asked_again(
    broker: Broker, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.cluster.inbox._RETRY_AFTER", 0.01)
    consume = broker.consume
    attempts = 0

    async def fail_twice(*arguments: Any, **options: Any) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ServiceUnavailable("away")
        return await consume(*arguments, **options)

    monkeypatch.setattr(broker, "consume", fail_twice)
    inbox = NodeInbox(broker, transport="websockets", node="n1", logger=journal)
    told: list[str] = []
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))
    task = asyncio.create_task(inbox.run())
    await eventually(lambda: attempts == 3)

    await tell(broker, Outcome("1"))

    await eventually(lambda: told == ["1"])
    assert len(journal.messages) == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
