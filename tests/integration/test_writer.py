"""The writer behind a real broker, database and registry, fed with operations directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexxus import Config, Nexxus
from nexxus.consuming import consume
from nexxus.domain.objects import ObjectKey
from nexxus.domain.operations import (
    AnyOperation,
    Create,
    Fate,
    OperationError,
    PatchMetadata,
    QueuedPatch,
    Update,
)
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import WRITER, Broker, Consumer, Message, Queue

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
    message = Message[AnyOperation]("\x00".join(operation.key), operation)
    await nexxus.broker.publish(WRITER, [message])


def increment(operation_id: str, *, is_retry: bool) -> Update:
    patch = QueuedPatch(
        op="incr", path=["points"], value=[1], metadata=PatchMetadata(APP, "t", "task")
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
    await nexxus.registry.put_fates([fate])

    await submit(nexxus, increment("long-ago", is_retry=True))

    assert await version(nexxus) == 1
    assert await nexxus.registry.get_fate(APP, "long-ago") == fate


async def test_a_retry_that_was_not_judged_is_applied(nexxus: Nexxus) -> None:
    await nexxus.registry.put_fates([Fate(APP, "lost", "queued", "u")])

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

    fate = await nexxus.registry.get_fate(APP, "early")
    assert fate is not None
    assert fate.state == "rejected", "the object has gone with its table"


async def test_a_broker_that_is_away_for_a_while_does_not_end_the_consuming(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.consuming._BEFORE_ANOTHER", 0.01)
    queue: Queue[AnyOperation] = Queue("spare", WRITER.kind, AnyOperation)
    broker = _AwayAtFirst(nexxus.broker)
    handled: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def process(consumer: Consumer[AnyOperation], batch: Any) -> None:
        await consumer.settle(batch)
        handled.set_result(batch[0].payload.operation_id)

    consuming = asyncio.create_task(
        consume(broker, queue, process, batch=10, logger=nexxus.logger)  # type: ignore[arg-type]
    )
    message = Message[AnyOperation]("k", increment("held", is_retry=False))
    await nexxus.broker.publish(queue, [message])
    assert await asyncio.wait_for(handled, 10) == "held"
    consuming.cancel()


class _AwayAtFirst:
    """A broker that cannot be reached twice before it can."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._refusals = 2

    async def consume(self, queue: Queue[Any], *, prefetch: int) -> Consumer[Any]:
        if self._refusals:
            self._refusals -= 1
            raise ServiceUnavailable("the broker is away")
        return await self._broker.consume(queue, prefetch=prefetch)
