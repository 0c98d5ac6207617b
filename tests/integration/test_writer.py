"""The writer behind a real broker, database and registry, fed with operations directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexxus import Config, Nexxus
from nexxus.adapters.in_process.broker.queues import LocalConsumer
from nexxus.cluster.consuming import STANDARD_RETRIES, Retries, consume
from nexxus.domain.events import Event
from nexxus.domain.objects import ObjectKey
from nexxus.domain.operations import (
    AnyOperation,
    Create,
    Delete,
    Deletion,
    Fate,
    Operation,
    OperationError,
    PatchMetadata,
    QueuedPatch,
    Update,
)
from nexxus.domain.patches import PatchOp
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import EVENTS, WRITES, Broker, Consumer, Group, Message, Topic
from nexxus.writer.apply import apply_operation
from nexxus.writer.memory import OPERATIONS_REMEMBERED

APP = "app"
KEY = ObjectKey(APP, "task", "t")


@pytest.fixture
async def nexxus(tmp_path: Path) -> AsyncIterator[Nexxus]:
    document = {
        "id": APP,
        "name": "App",
        "schema": {"task": {"fields": {"points": {"type": "int"}}}},
    }
    config = Config.from_mapping(
        {"server": {"data_dir": str(tmp_path)}, "applications": [document]}
    )
    async with Nexxus(config) as nexxus:
        identity = {"id": "t", "type": "task", "appId": APP, "createdAt": 1, "updatedAt": 1}
        await submit(nexxus, Create(operation_id="create", accepted_at=1, data=identity))
        yield nexxus


async def submit(nexxus: Nexxus, operation: AnyOperation) -> None:
    """Returns when the writer has settled it."""
    message = Message[AnyOperation](operation.key.partition, operation)
    await nexxus.broker.publish(WRITES, [message])


def increment(operation_id: str, *, is_retry: bool) -> Update:
    patch = QueuedPatch(
        op=PatchOp.INCR, path=["points"], value=[1], metadata=PatchMetadata(APP, "t", "task")
    )
    return Update(operation_id=operation_id, accepted_at=2, data=[patch], is_retry=is_retry)


async def version(nexxus: Nexxus) -> int:
    (record,) = await nexxus.database.load([KEY])
    assert record is not None
    return record.version


@pytest.mark.parametrize(
    "fate",
    [
        Fate(APP, "long-ago", "applied", "u", 1),
        Fate(APP, "long-ago", "rejected", "u", error=OperationError("X", "not so")),
    ],
)
async def test_a_retry_that_was_judged_longer_ago_than_its_object_remembers_changes_nothing(
    nexxus: Nexxus, fate: Fate
) -> None:
    await nexxus.registry.fates.put([fate])

    await submit(nexxus, increment("long-ago", is_retry=True))

    assert await version(nexxus) == 1
    assert await nexxus.registry.fates.get(APP, "long-ago") == fate


async def test_a_retry_that_was_not_judged_is_applied(nexxus: Nexxus) -> None:
    await nexxus.registry.fates.put([Fate(APP, "lost", "queued", "u")])

    await submit(nexxus, increment("lost", is_retry=True))

    assert await version(nexxus) == 2


async def test_a_model_that_the_database_has_dropped_does_not_end_the_writer(
    nexxus: Nexxus,
) -> None:
    await nexxus.database.drop(APP)
    writing = asyncio.create_task(submit(nexxus, increment("early", is_retry=False)))
    await asyncio.wait([writing], timeout=0.05)

    await nexxus.database.prepare(APP, [nexxus.applications.get(APP).model("task")])
    await writing

    fate = await nexxus.registry.fates.get(APP, "early")
    assert fate is not None
    assert fate.state == "rejected", "the object has gone with its table"


class Announced:
    """The events that the writer announces; the first time it cannot."""

    def __init__(self, nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Event] = []
        self.failures = 1
        self._publish = nexxus.broker.publish
        monkeypatch.setattr(nexxus.broker, "publish", self.publish)

    async def publish(self, topic: Topic[Any], messages: list[Message[Any]]) -> None:
        if topic == EVENTS:
            if self.failures:
                self.failures -= 1
                raise ServiceUnavailable("the queue is full")
            self.events += [message.payload for message in messages]
        await self._publish(topic, messages)


async def test_a_write_that_is_stored_is_accepted_and_told_of_even_if_that_fails_at_first(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = Announced(nexxus, monkeypatch)

    await submit(nexxus, increment("one", is_retry=False))

    assert await version(nexxus) == 2
    (event,) = announced.events
    assert (event.operation_id, event.version, event.repeated) == ("one", 2, True)
    assert event.before is not None
    assert event.before["updatedAt"] == 1
    assert event.after is not None
    assert (event.after["updatedAt"], event.after["points"]) == (2, 1)


@pytest.mark.parametrize("together", [False, True])
async def test_a_retry_of_a_write_that_was_told_of_is_not_told_again(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    announced = Announced(nexxus, monkeypatch)
    announced.failures = 0
    copies = [submit(nexxus, increment("one", is_retry=False)) for _ in range(2)]
    if together:
        await asyncio.gather(*copies)
    else:
        for copy in copies:
            await copy

    assert await version(nexxus) == 2
    assert [event.operation_id for event in announced.events] == ["one"]


@pytest.fixture
def vain(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that the writer settles in vain: its consumer is lost after its next batch.

    What was lost comes again to another consumer.
    """
    settle, take = LocalConsumer.settle, LocalConsumer.take
    lost: set[LocalConsumer[Any]] = set()
    vain: list[str] = []

    async def settle_in_vain(consumer: LocalConsumer[Any], messages: Any) -> None:
        is_writers = bool(messages) and isinstance(messages[0].payload, Operation)
        if is_writers and (not lost or consumer in lost):
            lost.add(consumer)
            vain.extend(message.payload.operation_id for message in messages)
        else:
            await settle(consumer, messages)

    async def take_unless_lost(consumer: LocalConsumer[Any], limit: int) -> Any:
        if consumer in lost:
            raise ServiceUnavailable("the connection was lost")
        return await take(consumer, limit)

    monkeypatch.setattr(LocalConsumer, "settle", settle_in_vain)
    monkeypatch.setattr(LocalConsumer, "take", take_unless_lost)
    return vain


async def test_more_than_an_object_remembers_is_applied_once_though_it_comes_again(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch, vain: list[str]
) -> None:
    announced = Announced(nexxus, monkeypatch)
    announced.failures = 0
    names = [f"increment-{n}" for n in range(3 * OPERATIONS_REMEMBERED)]

    await asyncio.gather(*(submit(nexxus, increment(name, is_retry=False)) for name in names))

    assert len(vain) > OPERATIONS_REMEMBERED, "one batch"
    assert await version(nexxus) == 1 + len(names)
    assert [event.operation_id for event in announced.events] == names


async def test_what_was_rejected_is_not_applied_when_it_comes_again(
    nexxus: Nexxus, vain: list[str]
) -> None:
    """It is judged by what others have made of the object since, or would be."""
    identity = {"id": "t", "type": "task", "appId": APP, "createdAt": 1, "updatedAt": 1}
    deletion = Deletion("t", "task", APP)
    await asyncio.gather(
        submit(nexxus, Create(operation_id="there-is-one", accepted_at=1, data=identity)),
        submit(nexxus, Delete(operation_id="delete", accepted_at=1, data=deletion)),
    )

    assert vain == ["there-is-one", "delete"]
    fate = await nexxus.registry.fates.get(APP, "there-is-one")
    assert fate is not None
    assert fate.state == "rejected"
    (record,) = await nexxus.database.load([KEY])
    assert record is not None
    assert record.deleted_at is not None


async def test_a_commit_of_which_nobody_knows_whether_it_took_place_is_told_of(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = Announced(nexxus, monkeypatch)
    announced.failures = 0
    commit = nexxus.database.commit

    async def commit_and_lose_the_answer(mutations: Any) -> list[bool]:
        monkeypatch.setattr(nexxus.database, "commit", commit)
        await commit(mutations)
        raise ServiceUnavailable("the connection was lost")

    monkeypatch.setattr(nexxus.database, "commit", commit_and_lose_the_answer)

    await submit(nexxus, increment("one", is_retry=False))

    assert await version(nexxus) == 2
    assert [event.operation_id for event in announced.events] == ["one"]


async def test_a_write_that_is_known_not_to_be_stored_is_refused_at_once(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(mutations: Any) -> list[bool]:
        raise ServiceUnavailable("the disk is full")

    monkeypatch.setattr(nexxus.database, "commit", commit)

    with pytest.raises(ServiceUnavailable, match="disk is full"):
        await submit(nexxus, increment("one", is_retry=False))


async def test_an_operation_that_cannot_be_processed_is_set_aside_and_keeps_no_other(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Retries, "delay_after", lambda *_: 0.001)
    tries = []

    def apply(operation: AnyOperation, *args: Any, **options: Any) -> Any:
        if operation.operation_id == "poison":
            tries.append(operation)
            raise TypeError("nobody expected this")
        return apply_operation(operation, *args, **options)

    monkeypatch.setattr("nexxus.writer.writer.apply_operation", apply)
    other = {"id": "other", "type": "task", "appId": APP, "createdAt": 1, "updatedAt": 1}
    outcomes = await asyncio.gather(
        submit(nexxus, increment("before", is_retry=False)),
        submit(nexxus, increment("poison", is_retry=False)),
        submit(nexxus, increment("behind", is_retry=False)),
        submit(nexxus, Create(operation_id="other", accepted_at=1, data=other)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [
        type(None), ServiceUnavailable, type(None), type(None)
    ]  # fmt: skip
    assert await version(nexxus) == 3
    fate = await nexxus.registry.fates.get(APP, "poison")
    assert fate is not None
    assert fate.state == "rejected"
    assert fate.error is not None
    assert fate.error.error == "ServerErrorException"
    (letter,) = await nexxus.parts.dead_letters.list()
    assert letter.payload["operationId"] == "poison"
    assert "nobody expected this" in letter.reason
    assert len(tries) > STANDARD_RETRIES.attempts, "first with the others, then alone"


async def test_a_broker_that_is_away_for_a_while_does_not_end_the_consuming(
    nexxus: Nexxus,
) -> None:
    group: Group[AnyOperation] = Group(Topic("spare", AnyOperation, must_survive=True), "spare")
    await nexxus.broker.declare(group)
    broker = _AwayAtFirst(nexxus.broker)
    handled: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def process(consumer: Consumer[AnyOperation], batch: Any) -> Any:
        await consumer.settle(batch)
        handled.set_result(batch[0].payload.operation_id)
        return ()

    consuming = asyncio.create_task(
        consume(
            broker,  # type: ignore[arg-type]
            group,
            process,
            batch=10,
            dead_letters=nexxus.parts.dead_letters,
            logger=nexxus.logger,
            retries=Retries(reconnect_delay=0.01),
        )
    )
    message = Message[AnyOperation]("k", increment("held", is_retry=False))
    await nexxus.broker.publish(group.topic, [message])
    assert await asyncio.wait_for(handled, 10) == "held"
    consuming.cancel()


class _AwayAtFirst:
    """A broker that cannot be reached twice before it can."""

    is_durable = False

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._refusals = 2

    async def consume(self, group: Group[Any], **options: Any) -> Consumer[Any]:
        if self._refusals:
            self._refusals -= 1
            raise ServiceUnavailable("the broker is away")
        return await self._broker.consume(group, **options)
