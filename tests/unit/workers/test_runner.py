"""A custom worker's role: opened until that succeeds, asked until it has handled everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from waiting import eventually

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Message, worker_queue
from nexxus.interfaces.worker import Worker, WorkerContext
from nexxus.testing.journal import Journal
from nexxus.workers import runner as workers
from nexxus.workers.runner import WorkerRunner

QUEUE = worker_queue("recorder")


class Recorder(Worker):
    """Away for the first `failures` times that it is opened; handles while `may_go_on`."""

    name = "recorder"

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.handled: list[str] = []
        self.said: list[str] = []
        self.begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def open(self, context: WorkerContext) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("the mail server is away")
        self.said.append(f"opened on {context.node}")

    async def handle(self, events: Sequence[Event]) -> None:
        self.begun.set()
        await self.may_go_on.wait()
        self.handled += [event.id for event in events]

    async def close(self) -> None:
        self.said.append("closed")


@pytest.fixture
async def broker() -> AsyncIterator[InProcessBroker]:
    broker = InProcessBroker(InProcessBrokerSettings())
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture
def journal() -> Journal:
    return Journal()


def runner_of(worker: Worker, broker: InProcessBroker, journal: Journal) -> WorkerRunner:
    return WorkerRunner(worker, broker=broker, logger=journal, node="n1")


async def tell(broker: InProcessBroker, *ids: str) -> None:
    events = [Event("model_created", "app", "task", each, 1, None, {"id": each}) for each in ids]
    await broker.publish(QUEUE, [Message(event.id, event) for event in events])


async def at_work(broker: InProcessBroker, journal: Journal) -> tuple[Recorder, asyncio.Task[None]]:
    """A worker that has begun with an event, and may not go on yet; and its role."""
    worker = Recorder()
    worker.may_go_on.clear()
    await tell(broker, "a")
    running = asyncio.create_task(runner_of(worker, broker, journal).run())
    await worker.begun.wait()
    return worker, running


async def end(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_worker_whose_service_is_away_is_opened_again_until_it_is_there(
    broker: InProcessBroker, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_OPEN_AGAIN_AFTER", 0.01)
    worker = Recorder(failures=3)
    await tell(broker, "a")
    running = asyncio.create_task(runner_of(worker, broker, journal).run())

    await eventually(lambda: worker.handled == ["a"])

    assert [record.fields["reason"] for record in journal.records] == 3 * [
        "the mail server is away"
    ]
    await end(running)
    assert worker.said == ["opened on n1", "closed"]


async def test_a_worker_that_never_opened_is_not_closed(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker = Recorder(failures=1_000_000)
    running = asyncio.create_task(runner_of(worker, broker, journal).run())
    await eventually(lambda: journal.records)

    await end(running)

    assert running.cancelled()
    assert worker.said == []


async def test_what_was_begun_is_finished_when_the_role_ends(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker, running = await at_work(broker, journal)

    running.cancel()
    worker.may_go_on.set()
    await asyncio.wait([running])

    assert worker.handled == ["a"]
    assert await broker.depth(QUEUE) == 0


async def test_what_was_begun_comes_again_when_the_role_is_cut_off(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker, running = await at_work(broker, journal)

    running.cancel()
    await asyncio.wait([running], timeout=0.01)
    running.cancel()
    await asyncio.wait([running])

    assert worker.said == ["opened on n1", "closed"]
    (received,) = await (await broker.consume(QUEUE)).take(10)
    assert (received.payload.id, received.attempts) == ("a", 1)


async def test_a_worker_is_done_when_nothing_waits_and_nothing_is_in_hand(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker = Recorder()
    runner = runner_of(worker, broker, journal)
    worker.may_go_on.clear()
    await tell(broker, "a")
    assert not await runner.is_done(), "it waits"
    running = asyncio.create_task(runner.run())
    await worker.begun.wait()
    assert not await runner.is_done(), "it is in hand"

    worker.may_go_on.set()

    await eventually(runner.is_done)
    assert worker.handled == ["a"]
    await end(running)
