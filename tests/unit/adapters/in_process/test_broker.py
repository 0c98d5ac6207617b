"""What the in-process broker promises beyond the interface."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.domain.events import Event
from nexxus.domain.operations import AnyOperation, Delete, Deletion
from nexxus.errors import InvalidParameters, ServiceUnavailable
from nexxus.interfaces.broker import WRITER, Consumer, Message, node_queue, worker_queue
from nexxus.testing.broker_kit.materials import event, facts, new_queue, node_message, take


def write(object_id: str) -> Message[AnyOperation]:
    deletion = Deletion(object_id, "task", "kit")
    return Message(object_id, Delete(operation_id=object_id, accepted_at=0, data=deletion))


async def opened(**settings: float) -> InProcessBroker:
    broker = InProcessBroker(InProcessBrokerSettings(**settings))  # type: ignore[arg-type]
    await broker.open()
    return broker


@pytest.fixture
async def broker() -> AsyncIterator[InProcessBroker]:
    broker = await opened()
    yield broker
    await broker.close()


@pytest.fixture
async def small() -> AsyncIterator[InProcessBroker]:
    """A broker of which a queue is full with three messages, and that has little patience."""
    broker = await opened(queue_limit=3, publish_timeout=0.05, confirm_timeout=0.05)
    yield broker
    await broker.close()


async def taken_write(broker: InProcessBroker) -> tuple[Consumer[AnyOperation], asyncio.Task[None]]:
    """A consumer of the writer's queue, and a publisher that waits for its one message."""
    consumer = await broker.consume(WRITER)
    return consumer, asyncio.create_task(broker.publish(WRITER, [write("a")]))


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
    consumer = await broker.consume(WRITER)
    publishing = asyncio.create_task(broker.publish(WRITER, [write("a"), write("b")]))
    first, second = await take(consumer, 2, settle=False)
    await consumer.settle([first])
    await asyncio.sleep(0)
    assert not publishing.done()
    await consumer.settle([second])
    await publishing


async def test_a_refused_write_raises_what_it_was_refused_with(broker: InProcessBroker) -> None:
    assert broker.confirms_settled
    consumer, publishing = await taken_write(broker)
    await consumer.refuse(await take(consumer, 1, settle=False), InvalidParameters("no"))
    with pytest.raises(InvalidParameters):
        await publishing
    assert await broker.depth(WRITER) == 0


async def test_a_buried_write_is_not_accepted(broker: InProcessBroker) -> None:
    consumer, publishing = await taken_write(broker)
    await consumer.bury(await take(consumer, 1, settle=False), "poison")
    with pytest.raises(ServiceUnavailable, match="poison"):
        await publishing


async def test_a_retried_write_is_confirmed_when_it_is_settled_at_last(
    broker: InProcessBroker,
) -> None:
    consumer, publishing = await taken_write(broker)
    await consumer.retry(await take(consumer, 1, settle=False), 0.01)
    await take(consumer, 1)
    await publishing


async def test_a_write_that_nobody_takes_is_withdrawn(small: InProcessBroker) -> None:
    with pytest.raises(ServiceUnavailable, match="did not confirm"):
        await small.publish(WRITER, [write("late")])
    consumer = await small.consume(WRITER)
    publishing = asyncio.create_task(small.publish(WRITER, [write("next")]))
    [received] = await take(consumer, 1)
    assert received.key == "next"
    await publishing


async def test_a_cancelled_publisher_leaves_its_write_where_it_is(broker: InProcessBroker) -> None:
    publishing = asyncio.create_task(broker.publish(WRITER, [write("a")]))
    await asyncio.sleep(0)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    [received] = await take(await broker.consume(WRITER), 1)
    assert received.key == "a"


async def test_a_full_queue_takes_nothing_of_the_call(small: InProcessBroker) -> None:
    queue = new_queue()
    await small.publish(queue, [event("a", number) for number in (1, 2, 3)])
    with pytest.raises(ServiceUnavailable, match="full"):
        await small.publish(queue, [event("a", 4)])
    consumer = await small.consume(queue)
    assert facts(await take(consumer, 3)) == [("a", 1), ("a", 2), ("a", 3)]
    await small.publish(queue, [event("a", 5)])
    assert facts(await take(consumer, 1)) == [("a", 5)]


async def test_publishers_enter_a_full_queue_in_the_order_they_came() -> None:
    broker = await opened(queue_limit=1)
    queue = new_queue()
    consumer = await broker.consume(queue)
    async with asyncio.TaskGroup() as publishers:
        for number in range(1, 6):
            publishers.create_task(broker.publish(queue, [event("a", number)]))
        assert facts(await take(consumer, 5)) == [("a", number) for number in range(1, 6)]
    await broker.close()


async def test_what_is_taken_and_not_settled_counts_for_a_full_queue(
    small: InProcessBroker,
) -> None:
    queue = new_queue()
    consumer = await small.consume(queue)
    await small.publish(queue, [event("a", number) for number in (1, 2, 3)])
    await take(consumer, 3, settle=False)
    with pytest.raises(ServiceUnavailable):
        await small.publish(queue, [event("a", 4)])


async def test_publishers_that_wait_learn_that_the_broker_closes() -> None:
    broker = await opened(queue_limit=1)
    queue = new_queue()
    await broker.publish(queue, [event("a", 1)])
    for_room = asyncio.create_task(broker.publish(queue, [event("a", 2)]))
    for_the_writer = asyncio.create_task(broker.publish(WRITER, [write("a")]))
    await asyncio.sleep(0)
    await broker.close()
    for publishing in (for_room, for_the_writer):
        with pytest.raises(ServiceUnavailable):
            await publishing


async def test_a_consumer_that_waits_learns_that_the_broker_closes(broker: InProcessBroker) -> None:
    consumer: Consumer[Event] = await broker.consume(new_queue())
    waiting = asyncio.create_task(consumer.take(1))
    await asyncio.sleep(0)
    await broker.close()
    with pytest.raises(ServiceUnavailable):
        await waiting


async def test_publishers_to_a_full_node_queue_go_on_when_the_node_goes() -> None:
    broker = await opened(queue_limit=1)
    queue = node_queue("websockets", "n1")
    consumer = await broker.consume(queue)
    await broker.publish(queue, [node_message("a")])
    publishing = asyncio.create_task(broker.publish(queue, [node_message("b")]))
    await asyncio.sleep(0)
    await consumer.close()
    await publishing
    assert await broker.depth(queue) == 0
    await broker.close()


async def test_settling_after_the_end_of_a_consumer_does_not_settle_for_its_successor(
    broker: InProcessBroker,
) -> None:
    queue = new_queue()
    first = await broker.consume(queue)
    await broker.publish(queue, [event("a", 1)])
    batch = await take(first, 1, settle=False)
    await first.close()
    await first.settle(batch)
    [again] = await take(await broker.consume(queue), 1)
    assert again.attempts == 1


async def test_what_another_holds_waits_for_it_and_keeps_its_order(broker: InProcessBroker) -> None:
    queue = new_queue()
    holder, other = await broker.consume(queue), await broker.consume(queue)
    await broker.publish(queue, [event("a", 1), event("a", 2)])
    held = await take(holder, 1, limit=1, settle=False)
    await broker.publish(queue, [event("b", 1), event("a", 3)])
    assert facts(await take(other, 1)) == [("b", 1)]
    await holder.retry(held, 0.0)
    assert facts(await take(other, 3)) == [("a", 1), ("a", 2), ("a", 3)]


async def test_dead_letters_are_kept_for_an_operator_the_newest_ones() -> None:
    broker = await opened(dead_letters=2)
    queue = worker_queue("mail")
    consumer = await broker.consume(queue)
    await broker.publish(queue, [event("a", number) for number in (1, 2, 3)])
    await consumer.bury(await take(consumer, 3, settle=False), "no such address")
    letters = await broker.dead_letters(queue=queue.name)
    assert [(letter.key, letter.payload["version"], letter.reason) for letter in letters] == [
        ("a", 2, "no such address"),
        ("a", 3, "no such address"),
    ]
    assert await broker.dead_letters(queue=new_queue().name) == []
    await broker.close()
