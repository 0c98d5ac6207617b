"""The in-process broker's guarantees beyond the interface."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.domain.events import Event
from nexxus.domain.operations import AnyOperation, Delete, Deletion
from nexxus.errors import InvalidParameters, ServiceUnavailable
from nexxus.interfaces.broker import WRITER, WRITES, Consumer, Message
from nexxus.testing.broker_kit.materials import (
    Note,
    consume,
    declared,
    event,
    facts,
    new_mailbox,
    take,
)


def write(object_id: str) -> Message[AnyOperation]:
    deletion = Deletion(object_id, "task", "kit")
    return Message(object_id, Delete(operation_id=object_id, accepted_at=0, data=deletion))


async def opened(**settings: float) -> InProcessBroker:
    broker = InProcessBroker(InProcessBrokerSettings(**settings))  # type: ignore[arg-type]
    await broker.open()
    await broker.declare(WRITER)
    return broker


@pytest.fixture
async def broker() -> AsyncIterator[InProcessBroker]:
    broker = await opened()
    yield broker
    await broker.close()


@pytest.fixture
async def small() -> AsyncIterator[InProcessBroker]:
    """A broker whose queues hold three messages, with short timeouts."""
    broker = await opened(queue_limit=3, publish_timeout=0.05, confirm_timeout=0.05)
    yield broker
    await broker.close()


async def taken_write(broker: InProcessBroker) -> tuple[Consumer[AnyOperation], asyncio.Task[None]]:
    """A consumer of the writer's queue, and a publisher that waits for its single message."""
    consumer = await consume(broker, WRITER)
    return consumer, asyncio.create_task(broker.publish(WRITES, [write("a")]))


async def test_a_write_is_confirmed_when_it_is_settled_and_not_before(
    broker: InProcessBroker,
) -> None:
    consumer, publishing = await taken_write(broker)
    batch = await take(consumer, 1, settle=False)
    assert not publishing.done()
    await consumer.settle(batch)
    await publishing


async def test_a_publish_of_several_writes_returns_when_all_are_settled(
    broker: InProcessBroker,
) -> None:
    consumer = await consume(broker, WRITER)
    publishing = asyncio.create_task(broker.publish(WRITES, [write("a"), write("b")]))
    first, second = await take(consumer, 2, settle=False)
    await consumer.settle([first])
    await asyncio.sleep(0)
    assert not publishing.done()
    await consumer.settle([second])
    await publishing


async def test_a_refused_write_raises_the_given_error(broker: InProcessBroker) -> None:
    assert not broker.is_durable
    consumer, publishing = await taken_write(broker)
    await consumer.refuse(await take(consumer, 1, settle=False), InvalidParameters("no"))
    with pytest.raises(InvalidParameters):
        await publishing
    assert await broker.depth(WRITER) == 0


async def test_a_retried_write_is_confirmed_once_it_is_settled(
    broker: InProcessBroker,
) -> None:
    consumer, publishing = await taken_write(broker)
    await consumer.retry(await take(consumer, 1, settle=False), 0.01)
    await take(consumer, 1)
    await publishing


async def test_a_write_that_is_never_taken_is_withdrawn(small: InProcessBroker) -> None:
    with pytest.raises(ServiceUnavailable, match="did not confirm"):
        await small.publish(WRITES, [write("late")])
    consumer = await consume(small, WRITER)
    publishing = asyncio.create_task(small.publish(WRITES, [write("next")]))
    [received] = await take(consumer, 1)
    assert received.key == "next"
    await publishing


async def test_a_cancelled_publisher_leaves_its_write_where_it_is(broker: InProcessBroker) -> None:
    publishing = asyncio.create_task(broker.publish(WRITES, [write("a")]))
    await asyncio.sleep(0)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    [received] = await take(await consume(broker, WRITER), 1)
    assert received.key == "a"


async def test_a_full_queue_accepts_no_message_of_a_call(small: InProcessBroker) -> None:
    group = await declared(small)
    await small.publish(group.topic, [event("a", number) for number in (1, 2, 3)])
    with pytest.raises(ServiceUnavailable, match="full"):
        await small.publish(group.topic, [event("a", 4)])
    consumer = await consume(small, group)
    assert facts(await take(consumer, 3)) == [("a", 1), ("a", 2), ("a", 3)]
    await small.publish(group.topic, [event("a", 5)])
    assert facts(await take(consumer, 1)) == [("a", 5)]


async def test_publishers_enter_a_full_queue_in_order() -> None:
    broker = await opened(queue_limit=1)
    group = await declared(broker)
    consumer = await consume(broker, group)
    async with asyncio.TaskGroup() as publishers:
        for number in range(1, 6):
            publishers.create_task(broker.publish(group.topic, [event("a", number)]))
        assert facts(await take(consumer, 5)) == [("a", number) for number in range(1, 6)]
    await broker.close()


async def test_unsettled_messages_count_towards_the_queue_limit(
    small: InProcessBroker,
) -> None:
    group = await declared(small)
    consumer = await consume(small, group)
    await small.publish(group.topic, [event("a", number) for number in (1, 2, 3)])
    await take(consumer, 3, settle=False)
    with pytest.raises(ServiceUnavailable):
        await small.publish(group.topic, [event("a", 4)])


async def test_waiting_publishers_are_notified_when_the_broker_closes() -> None:
    broker = await opened(queue_limit=1)
    group = await declared(broker)
    await broker.publish(group.topic, [event("a", 1)])
    for_room = asyncio.create_task(broker.publish(group.topic, [event("a", 2)]))
    for_the_writer = asyncio.create_task(broker.publish(WRITES, [write("a")]))
    await asyncio.sleep(0)
    await broker.close()
    for publishing in (for_room, for_the_writer):
        with pytest.raises(ServiceUnavailable):
            await publishing


async def test_a_waiting_consumer_is_notified_when_the_broker_closes(
    broker: InProcessBroker,
) -> None:
    consumer: Consumer[Event] = await consume(broker, await declared(broker))
    waiting = asyncio.create_task(consumer.take(1))
    await asyncio.sleep(0)
    await broker.close()
    with pytest.raises(ServiceUnavailable):
        await waiting


async def test_senders_to_a_full_mailbox_continue_when_its_node_leaves() -> None:
    broker = await opened(queue_limit=1)
    mailbox = new_mailbox()
    receiver = await broker.receive(mailbox)
    await broker.send(mailbox, [Note("a")])
    sending = asyncio.create_task(broker.send(mailbox, [Note("b")]))
    await asyncio.sleep(0)
    assert not sending.done()
    await receiver.close()
    await sending
    await broker.close()


async def test_a_full_mailbox_refuses_after_a_while_and_accepts_again_once_read(
    small: InProcessBroker,
) -> None:
    mailbox = new_mailbox()
    receiver = await small.receive(mailbox)
    await small.send(mailbox, [Note("1"), Note("2"), Note("3")])
    with pytest.raises(ServiceUnavailable, match="full"):
        await small.send(mailbox, [Note("lost")])
    assert [note.text for note in await receiver.take(2)] == ["1", "2"]
    await small.send(mailbox, [Note("4")])
    assert [note.text for note in await receiver.take(9)] == ["3", "4"]


async def test_all_groups_get_concurrent_messages_in_one_order_even_if_one_is_full() -> None:
    broker = await opened(queue_limit=1)
    slow = await declared(broker)
    fast = await declared(broker, slow.topic)
    consumers = [await consume(broker, slow), await consume(broker, fast)]
    async with asyncio.TaskGroup() as publishers:
        for number in range(1, 6):
            publishers.create_task(broker.publish(slow.topic, [event("a", number)]))
        for consumer in consumers:
            assert facts(await take(consumer, 5)) == [("a", number) for number in range(1, 6)]
    await broker.close()


async def test_settling_with_a_closed_consumer_does_not_affect_its_successor(
    broker: InProcessBroker,
) -> None:
    group = await declared(broker)
    first = await consume(broker, group)
    await broker.publish(group.topic, [event("a", 1)])
    batch = await take(first, 1, settle=False)
    await first.close()
    await first.settle(batch)
    [again] = await take(await consume(broker, group), 1)
    assert again.attempts == 1


async def test_messages_of_a_key_held_by_another_consumer_wait_and_keep_their_order(
    broker: InProcessBroker,
) -> None:
    group = await declared(broker)
    holder, other = await consume(broker, group), await consume(broker, group)
    await broker.publish(group.topic, [event("a", 1), event("a", 2)])
    held = await take(holder, 1, limit=1, settle=False)
    await broker.publish(group.topic, [event("b", 1), event("a", 3)])
    assert facts(await take(other, 1)) == [("b", 1)]
    await holder.retry(held, 0.0)
    assert facts(await take(other, 3)) == [("a", 1), ("a", 2), ("a", 3)]


async def test_a_write_taken_by_the_writer_is_redelivered_even_if_its_publisher_gave_up(
    small: InProcessBroker,
) -> None:
    consumer, publishing = await taken_write(small)
    batch = await take(consumer, 1, settle=False)
    with pytest.raises(ServiceUnavailable, match="did not confirm"):
        await publishing
    await consumer.retry(batch, 0.0, failed=False)
    [again] = await take(consumer, 1)
    assert again.key == "a"


async def test_a_publisher_waiting_for_a_group_is_notified_when_it_is_removed(
    broker: InProcessBroker,
) -> None:
    consumer = await consume(broker, WRITER)
    publishing = [asyncio.create_task(broker.publish(WRITES, [write(each)])) for each in "abab"]
    await take(consumer, 1, limit=1, settle=False)
    await broker.remove(WRITER)
    for each in publishing:
        with pytest.raises(ServiceUnavailable, match="removed"):
            await each


async def test_a_new_reader_of_a_mailbox_ends_the_former_one(broker: InProcessBroker) -> None:
    mailbox = new_mailbox()
    former = await broker.receive(mailbox)
    waiting = asyncio.create_task(former.take(1))
    await asyncio.sleep(0)
    receiver = await broker.receive(mailbox)
    with pytest.raises(ServiceUnavailable):
        await waiting
    await former.close()
    await broker.send(mailbox, [Note("new")])
    assert [note.text for note in await receiver.take(1)] == ["new"]
