"""The inbox of a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
from waiting import eventually

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.messages import ApplicationChanged, NodeMessage, Outcome, node_mailbox
from nexxus.errors import MessagesLost, ServiceUnavailable
from nexxus.interfaces.broker import Broker
from nexxus.interfaces.logger import Level, Logger, LogRecord

MAILBOX = node_mailbox("n1")


class Journal(Logger):
    def __init__(self) -> None:
        self.messages: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def is_enabled(self, level: Level) -> bool:
        return True

    def write(self, record: LogRecord) -> None:
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
async def inbox(broker: Broker, journal: Journal) -> AsyncIterator[Inbox]:
    inbox = Inbox(broker, MAILBOX, logger=journal)
    await inbox.open()
    task = asyncio.create_task(inbox.run())
    yield inbox
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def tell(broker: Broker, *messages: NodeMessage) -> None:
    await broker.send(MAILBOX, messages)


async def test_every_handler_of_a_type_gets_its_messages_in_order(
    inbox: Inbox, broker: Broker
) -> None:
    told: list[tuple[str, Any]] = []
    inbox.on(Outcome, lambda outcome: told.append(("first", outcome.operation_id)))
    inbox.on(Outcome, lambda outcome: told.append(("second", outcome.operation_id)))
    inbox.on(ApplicationChanged, lambda changed: told.append(("app", changed.app_id)))

    await tell(broker, Outcome("1"), ApplicationChanged("a"), Outcome("2"))

    await eventually(lambda: len(told) == 5)
    assert told == [("first", "1"), ("second", "1"), ("app", "a"), ("first", "2"), ("second", "2")]


async def test_a_failing_handler_is_logged_and_blocks_nothing(
    inbox: Inbox, broker: Broker, journal: Journal
) -> None:
    told: list[str] = []

    def fail(_: Outcome) -> None:
        raise ValueError("a bug")

    inbox.on(Outcome, fail)
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))

    await tell(broker, Outcome("1"), Outcome("2"))

    await eventually(lambda: told == ["1", "2"])
    assert len(journal.messages) == 2


async def test_a_message_without_a_handler_is_ignored(inbox: Inbox, broker: Broker) -> None:
    told: list[str] = []
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))

    await tell(broker, ApplicationChanged("a"), Outcome("1"))

    await eventually(lambda: told == ["1"])


async def test_a_loss_of_messages_is_reported_before_later_ones_are_handled(
    broker: Broker, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(broker, MAILBOX, logger=journal)
    told: list[str] = []
    inbox.on_loss(lambda: told.append("loss"))
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))
    receiver = await broker.receive(MAILBOX)
    take, losses = receiver.take, [MessagesLost("expired")]

    async def lose_first(limit: int) -> Any:
        if losses:
            raise losses.pop()
        return await take(limit)

    monkeypatch.setattr(receiver, "take", lose_first)
    monkeypatch.setattr(broker, "receive", AsyncMock(return_value=receiver))
    await tell(broker, Outcome("1"))
    task = asyncio.create_task(inbox.run())

    await eventually(lambda: told == ["loss", "1"])
    assert journal.messages == ["messages to this node were lost"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_broker_that_was_unavailable_is_retried(
    broker: Broker, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = broker.receive
    attempts = 0

    async def fail_twice(*arguments: Any, **options: Any) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ServiceUnavailable("away")
        return await receive(*arguments, **options)

    monkeypatch.setattr(broker, "receive", fail_twice)
    inbox = Inbox(broker, MAILBOX, logger=journal, retry_delay=0.01)
    told: list[str] = []
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))
    task = asyncio.create_task(inbox.run())
    await eventually(lambda: attempts == 3)

    await tell(broker, Outcome("1"))

    await eventually(lambda: told == ["1"])
    assert len(journal.messages) == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_mailbox_that_ended_with_its_reader_has_lost_messages(
    broker: Broker, journal: Journal
) -> None:
    inbox = Inbox(broker, MAILBOX, logger=journal, retry_delay=0.01)
    told: list[str] = []
    inbox.on_loss(lambda: told.append("loss"))
    inbox.on(Outcome, lambda outcome: told.append(outcome.operation_id))
    await inbox.open()
    task = asyncio.create_task(inbox.run())
    await tell(broker, Outcome("1"))
    await eventually(lambda: told == ["1"])

    await broker.close()
    await eventually(lambda: journal.messages)
    await broker.open()

    await eventually(lambda: told == ["1", "loss"])
    await tell(broker, Outcome("2"))
    await eventually(lambda: told == ["1", "loss", "2"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
