"""Consuming: failing messages are retried or set aside, and batches are always finished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dead_letter_store import DeadLetterStore
from waiting import PATIENCE, eventually

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.cluster.consuming import Failure, Retries, consume
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import (
    TRANSPORT_MANAGER,
    WRITER,
    Consumer,
    Group,
    Message,
    Received,
)
from nexxus.testing.journal import Journal
from nexxus.toolkit.backoff import Backoff

FAST = Retries(attempts=3, backoff=Backoff(first=0.001, longest=0.001), reconnect_delay=0.001)


@pytest.fixture
async def broker() -> AsyncIterator[InProcessBroker]:
    broker = InProcessBroker(InProcessBrokerSettings())
    await broker.open()
    for group in (WRITER, TRANSPORT_MANAGER):
        await broker.declare(group)
    yield broker
    await broker.close()


@pytest.fixture
def letters() -> DeadLetterStore:
    return DeadLetterStore()


async def publish(broker: InProcessBroker, *messages: str) -> None:
    """Publish payloads such as ``a1``, whose key is ``a``."""
    await broker.publish(TRANSPORT_MANAGER.topic, [Message(each[0], each) for each in messages])


@asynccontextmanager
async def consuming(
    broker: InProcessBroker,
    letters: DeadLetterStore,
    process: Callable[..., Any],
    group: Group[Any] = TRANSPORT_MANAGER,
) -> AsyncIterator[Journal]:
    journal = Journal()
    task = asyncio.create_task(
        consume(
            broker, group, process, batch=10, dead_letters=letters, logger=journal, retries=FAST
        )
    )
    yield journal
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Processing:
    """Settles everything except messages that contain one of `poison`; records each batch."""

    def __init__(self, *poison: str) -> None:
        self.poison = poison
        self.batches: list[list[str]] = []
        self.done: list[str] = []

    async def __call__(
        self, consumer: Consumer[Any], batch: Sequence[Received[Any]]
    ) -> Sequence[Failure[Any]]:
        payloads = [message.payload for message in batch]
        self.batches.append(payloads)
        if any(each in self.poison for each in payloads):
            raise ValueError("poison")
        await consumer.settle(batch)
        self.done += payloads
        return ()


async def test_only_the_message_that_fails_becomes_a_dead_letter(
    broker: InProcessBroker, letters: DeadLetterStore
) -> None:
    process = Processing("b1")
    await publish(broker, "a1", "b1", "c1")
    async with consuming(broker, letters, process):
        await eventually(lambda: letters.buried)
    assert letters.buried == [("transport-manager", "b", "ValueError: poison")]
    assert process.done == ["a1", "c1"]
    assert process.batches.count(["b1"]) == FAST.attempts
    assert letters.attempts == [FAST.attempts]
    assert await broker.depth(TRANSPORT_MANAGER) == 0


async def test_later_messages_of_its_key_wait_in_order_without_counting_attempts(
    broker: InProcessBroker, letters: DeadLetterStore
) -> None:
    process = Processing("a1")
    attempts: list[int] = []

    async def watch(consumer: Consumer[Any], batch: Sequence[Received[Any]]) -> Any:
        attempts.extend(each.attempts for each in batch if each.payload == "a2")
        return await process(consumer, batch)

    await publish(broker, "a1", "a2", "a3")
    async with consuming(broker, letters, watch):
        await eventually(lambda: process.done == ["a2", "a3"])
    assert [key for _, key, _ in letters.buried] == ["a"]
    assert set(attempts) == {0}


async def test_returned_failures_are_retried_after_their_delay(
    broker: InProcessBroker, letters: DeadLetterStore
) -> None:
    seen: list[list[tuple[str, int]]] = []

    async def process(consumer: Consumer[Any], batch: Sequence[Received[Any]]) -> Any:
        seen.append([(message.payload, message.attempts) for message in batch])
        if len(seen) > 1:
            await consumer.settle(batch)
            return ()
        first, *others = batch
        await consumer.settle([each for each in others if each.key != first.key])
        return (Failure(first, ValueError("later"), 0.0),)

    await publish(broker, "a1", "b1", "a2")
    async with consuming(broker, letters, process):
        await eventually(lambda: sum(map(len, seen)) == 5)
    assert seen[0] == [("a1", 0), ("b1", 0), ("a2", 0)]
    assert [each for batch in seen[1:] for each in batch] == [("a1", 1), ("a2", 0)]


async def test_a_dead_letter_that_cannot_be_stored_yet_is_not_lost(
    broker: InProcessBroker,
) -> None:
    letters = DeadLetterStore(failures=2)
    await publish(broker, "a1")
    async with consuming(broker, letters, Processing("a1")):
        await eventually(lambda: letters.buried)
    assert len(letters.buried) == 1


async def test_a_waiting_publisher_is_notified_that_its_message_was_set_aside(
    broker: InProcessBroker, letters: DeadLetterStore
) -> None:
    async with consuming(broker, letters, Processing("poison"), WRITER):
        with pytest.raises(ServiceUnavailable, match="could not be processed"):
            await broker.publish(WRITER.topic, [Message("key", "poison")])  # type: ignore[list-item]
    assert [group for group, _, _ in letters.buried] == ["writer"]


async def test_a_message_whose_consumers_keep_dying_is_set_aside_without_another_attempt(
    broker: InProcessBroker, letters: DeadLetterStore
) -> None:
    await publish(broker, "a1", "b1")
    for _ in range(FAST.attempts + 20):
        dying = await broker.consume(TRANSPORT_MANAGER, prefetch=1, set_aside=letters.bury)
        await dying.take(1)
        await dying.close()
    process = Processing()
    async with consuming(broker, letters, process):
        await eventually(lambda: process.done and letters.buried)
    assert process.done == ["b1"]
    assert [key for _, key, _ in letters.buried] == ["a"]


async def test_a_broker_lost_during_the_last_batch_does_not_delay_the_end(
    broker: InProcessBroker, letters: DeadLetterStore
) -> None:
    await publish(broker, "a1")
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def process(consumer: Consumer[Any], batch: Sequence[Received[Any]]) -> Any:
        begun.set()
        await may_go_on.wait()
        raise ServiceUnavailable("the broker is away")

    task = asyncio.create_task(
        consume(
            broker,
            TRANSPORT_MANAGER,
            process,
            batch=1,
            dead_letters=letters,
            logger=Journal(),
        )
    )
    await begun.wait()
    task.cancel()
    may_go_on.set()
    await asyncio.wait([task], timeout=PATIENCE / 10)

    assert task.cancelled()


async def test_a_dead_letter_that_cannot_be_stored_does_not_end_the_role(
    broker: InProcessBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = DeadLetterStore()
    bury, errors = letters.bury, [TypeError("it cannot be encoded")]

    async def fail_once(*arguments: Any, **options: Any) -> None:
        if errors:
            raise errors.pop()
        await bury(*arguments, **options)

    monkeypatch.setattr(letters, "bury", fail_once)
    process = Processing("a1")
    await publish(broker, "a1", "b1")
    async with consuming(broker, letters, process):
        await eventually(lambda: letters.buried)
    assert process.done == ["b1"]


async def test_a_message_that_fails_because_a_service_is_down_is_never_set_aside(
    broker: InProcessBroker, letters: DeadLetterStore
) -> None:
    attempts: list[int] = []

    async def process(consumer: Consumer[Any], batch: Sequence[Received[Any]]) -> Any:
        attempts.extend(message.attempts for message in batch)
        if len(attempts) > 2 * FAST.attempts:
            await consumer.settle(batch)
            return ()
        return [Failure(message, ServiceUnavailable("away"), 0.0) for message in batch]

    await publish(broker, "a1")
    async with consuming(broker, letters, process):
        await eventually(lambda: len(attempts) > 2 * FAST.attempts)
    assert set(attempts) == {0}
    assert letters.buried == []


async def test_a_replayed_dead_letter_is_kept_until_settled_if_the_broker_is_not_durable(
    broker: InProcessBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters, settled = DeadLetterStore(), []

    async def note(group: Group[Any], messages: Sequence[Received[Any]]) -> None:
        settled.extend((group.name, message.payload) for message in messages)
        raise ServiceUnavailable("the letter cannot be deleted")

    monkeypatch.setattr(letters, "settled", note)
    await publish(broker, "a1", "b1")
    async with consuming(broker, letters, Processing()) as journal:
        await eventually(lambda: len(settled) == 2)
    assert settled == [("transport-manager", "a1"), ("transport-manager", "b1")]
    assert journal.messages == ["a handled dead letter is still stored"]
