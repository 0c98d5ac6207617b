"""A custom worker's role: opening is retried, and every event is handled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from dead_letter_store import DeadLetterStore
from waiting import eventually

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.broker.queues import LocalConsumer
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import EVENTS, Message, worker_group
from nexxus.interfaces.worker import LONGEST_RETRY, Failed, Worker, WorkerContext
from nexxus.testing.broker_kit.materials import consume
from nexxus.testing.journal import Journal
from nexxus.toolkit.backoff import Backoff
from nexxus.workers.runner import WorkerRunner

GROUP = worker_group("recorder")


class Recorder(Worker):
    """Fails to open `failures` times; handles events while `may_go_on`."""

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
    await broker.declare(GROUP)
    yield broker
    await broker.close()


@pytest.fixture
def journal() -> Journal:
    return Journal()


def runner_of(
    worker: Worker,
    broker: InProcessBroker,
    journal: Journal,
    letters: DeadLetterStore | None = None,
    on_settled: Any = None,
) -> WorkerRunner:
    unused: Any = None
    context = WorkerContext("recorder", "n1", journal, objects=unused, state=unused)
    return WorkerRunner(
        worker,
        context,
        broker=broker,
        dead_letters=letters or DeadLetterStore(),
        on_settled=on_settled,
        open_again=Backoff(first=0.01, longest=1.0),
        handle_again=Backoff(first=0.001, longest=1.0),
    )


async def tell(broker: InProcessBroker, *ids: str) -> None:
    events = [Event("model_created", "app", "task", each, 1, None, {"id": each}) for each in ids]
    await broker.publish(EVENTS, [Message(event.id, event) for event in events])


async def at_work(broker: InProcessBroker, journal: Journal) -> tuple[Recorder, asyncio.Task[None]]:
    """A worker that is paused while handling an event, and its role."""
    worker = Recorder()
    worker.may_go_on.clear()
    await tell(broker, "a")
    running = asyncio.create_task(runner_of(worker, broker, journal).run())
    await worker.begun.wait()
    return worker, running


async def end(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_worker_whose_service_is_down_is_opened_again_until_it_succeeds(
    broker: InProcessBroker, journal: Journal
) -> None:
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


async def test_work_in_progress_is_finished_when_the_role_ends(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker, running = await at_work(broker, journal)

    running.cancel()
    worker.may_go_on.set()
    await asyncio.wait([running])

    assert worker.handled == ["a"]
    assert await broker.depth(GROUP) == 0


async def test_work_in_progress_is_repeated_if_the_role_is_cancelled(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker, running = await at_work(broker, journal)

    running.cancel()
    await asyncio.wait([running], timeout=0.01)
    running.cancel()
    await asyncio.wait([running])

    assert worker.said == ["opened on n1", "closed"]
    (received,) = await (await consume(broker, GROUP)).take(10)
    assert (received.payload.id, received.attempts) == ("a", 1)


async def test_a_worker_is_idle_when_nothing_waits_or_is_in_progress(
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


class Picky(Worker):
    """Fails as the test requires: with an exception for all, or by naming failures."""

    models = ("task",)

    def __init__(
        self, poison: set[str], *, raises: bool, batch: int = 8, attempts: int = 5
    ) -> None:
        self.batch = batch
        self.attempts = attempts
        self.poison = poison
        self.raises = raises
        self.batches: list[list[str]] = []
        self.handled: list[str] = []

    async def handle(self, events: Sequence[Event]) -> Sequence[Failed]:
        ids = [event.id for event in events]
        self.batches.append(ids)
        if self.raises and self.poison & set(ids):
            raise ValueError("one of these is bad")
        failed = [Failed(each, ValueError("bad"), 0.0) for each in events if each.id in self.poison]
        self.handled += [each for each in ids if each not in self.poison]
        return failed


async def test_a_failing_batch_is_halved_until_the_bad_event_is_alone(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker, letters = Picky({"e3"}, raises=True), DeadLetterStore()
    ids = [f"e{number}" for number in range(8)]
    await tell(broker, *ids)
    running = asyncio.create_task(runner_of(worker, broker, journal, letters).run())
    await eventually(lambda: letters.buried)
    await end(running)
    assert sorted(worker.handled) == [each for each in ids if each != "e3"]
    assert [key for _, key, _ in letters.buried] == ["e3"]
    sizes = [len(batch) for batch in worker.batches if "e3" in batch]
    # Delays run out one by one, so a batch may be smaller than it could be.
    assert all(size <= limit for size, limit in zip(sizes, [8, 4, 2, 1, 1], strict=True)), sizes


async def test_an_event_named_as_failed_is_retried_alone(
    broker: InProcessBroker, journal: Journal
) -> None:
    worker, letters = Picky({"b"}, raises=False), DeadLetterStore()
    await tell(broker, "a", "b", "c")
    runner = runner_of(worker, broker, journal, letters)
    running = asyncio.create_task(runner.run())
    await eventually(lambda: letters.buried)
    await end(running)
    assert worker.handled == ["a", "c"]
    assert worker.batches == [["a", "b", "c"], *([["b"]] * 4)]
    assert (runner.figures.handled, runner.figures.failed) == (2, 5)


async def test_events_of_other_models_are_settled_without_the_worker(
    broker: InProcessBroker, journal: Journal
) -> None:
    settled: list[str] = []

    def note(group: str, events: Any) -> None:
        settled.extend(f"{group} {event.id}" for event in events)

    worker = Picky(set(), raises=False)
    other = Event("model_created", "app", "other", "o", 1, None, {"id": "o"})
    await broker.publish(EVENTS, [Message("o", other)])
    await tell(broker, "a")
    running = asyncio.create_task(runner_of(worker, broker, journal, on_settled=note).run())
    await eventually(lambda: len(settled) == 2)
    await end(running)
    assert worker.batches == [["a"]]
    assert settled == ["worker.recorder o", "worker.recorder a"]


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_the_last_attempt_is_made_alone(
    broker: InProcessBroker, journal: Journal, attempts: int
) -> None:
    worker, letters = Picky({"e3"}, raises=True, batch=100, attempts=attempts), DeadLetterStore()
    ids = [f"e{number}" for number in range(8)]
    await tell(broker, *ids)
    running = asyncio.create_task(runner_of(worker, broker, journal, letters).run())
    await eventually(lambda: letters.buried and len(worker.handled) == 7)
    await end(running)
    assert [key for _, key, _ in letters.buried] == ["e3"]
    assert len([batch for batch in worker.batches if "e3" in batch]) == attempts


async def test_naming_an_unknown_event_fails_the_batch(
    broker: InProcessBroker, journal: Journal
) -> None:
    class Confused(Picky):
        async def handle(self, events: Sequence[Event]) -> Sequence[Failed]:
            await super().handle(events)
            other = Event("model_created", "app", "task", "other", 1, None, {})
            return [Failed(other, ValueError("mixed up"))] if "e2" in self.batches[-1] else []

    worker, letters = Confused(set(), raises=False, batch=2, attempts=1), DeadLetterStore()
    worker.attempts = 2
    await tell(broker, "e0", "e1", "e2", "e3")
    running = asyncio.create_task(runner_of(worker, broker, journal, letters).run())
    await eventually(lambda: letters.buried)
    await end(running)
    assert [key for _, key, _ in letters.buried] == ["e2"]
    assert worker.batches[:2] == [["e0", "e1"], ["e2", "e3"]]
    assert worker.batches.count(["e0", "e1"]) == 1
    assert not any("e0" in batch for batch in worker.batches[1:])


async def test_a_requested_delay_is_limited_to_what_brokers_support(
    broker: InProcessBroker, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    retry = LocalConsumer.retry

    async def note(self: Any, messages: Any, delay: float, *, failed: bool = True) -> None:
        delays.append(delay)
        await retry(self, messages, delay, failed=failed)

    monkeypatch.setattr(LocalConsumer, "retry", note)

    class Patient(Picky):
        async def handle(self, events: Sequence[Event]) -> Sequence[Failed]:
            return [Failed(each, ValueError("later"), 86_400.0) for each in events]

    await tell(broker, "a")
    running = asyncio.create_task(runner_of(Patient(set(), raises=False), broker, journal).run())
    await eventually(lambda: delays)
    await end(running)
    assert delays == [LONGEST_RETRY]
