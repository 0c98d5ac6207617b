"""A writer that held a batch while another one judged it applies nothing twice.

It may have been frozen, or cut off from the broker without knowing it. The other writer has applied
more than an object remembers since, so that only the fates tell.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from memory_broker import MemoryBroker
from memory_database import MemoryDatabase

from nexxus.adapters.in_process.registry.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.applications.applications import Applications
from nexxus.cluster.peers import Peers
from nexxus.domain.objects import LARGEST_OBJECT, ObjectKey, new_id
from nexxus.domain.operations import (
    AnyOperation,
    Create,
    Delete,
    Deletion,
    PatchMetadata,
    QueuedPatch,
    Update,
)
from nexxus.domain.patches import PatchOp
from nexxus.interfaces.broker import Received
from nexxus.testing.journal import Journal
from nexxus.writer.announcer import Announcer
from nexxus.writer.memory import OPERATIONS_REMEMBERED
from nexxus.writer.writer import Writer

KEY = ObjectKey("app", "task", "t")
DOCUMENT = {"id": "app", "name": "App", "schema": {"task": {"fields": {"points": {"type": "int"}}}}}


class DurableBroker(MemoryBroker):
    is_durable = True


class Held:
    """A consumer whose messages have gone to another one: what it settles has no effect."""

    async def settle(self, messages: Any) -> None:
        return None


class World:
    def __init__(self, folder: Path) -> None:
        broker = DurableBroker()
        self.database = MemoryDatabase()
        self.registry = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=folder, logger=Journal()
        )
        peers = Peers(broker, here="here")
        applications = self.applications = Applications(
            database=self.database, peers=peers, registry=self.registry, strategies={}
        )
        unused: Any = None
        self.writer = Writer(
            applications=applications,
            database=self.database,
            broker=broker,
            registry=self.registry,
            announcer=Announcer(broker=broker, registry=self.registry, peers=peers),
            dead_letters=unused,
            outbox=None,
            logger=Journal(),
            batch=100,
            largest_object=LARGEST_OBJECT,
        )

    async def process(self, *operations: AnyOperation) -> None:
        """Process a batch that was delivered for the first time."""
        batch = [
            Received(each.key.partition, each, 0, is_waiting=False, handle=None)
            for each in operations
        ]
        consumer: Any = Held()
        await self.writer._process(consumer, batch)

    @property
    def stored(self) -> Any:
        return self.database.records[KEY].document


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.registry.open()
    await world.applications.load()
    await world.applications.create(DOCUMENT)
    yield world
    await world.registry.close()


def an_id(seconds_ago: float = 0.0) -> str:
    """The id of an operation that was accepted so long ago."""
    milliseconds = f"{int((time.time() - seconds_ago) * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}{new_id()[13:]}"


def create(operation_id: str) -> Create:
    data = {"id": "t", "type": "task", "appId": "app", "createdAt": 1, "updatedAt": 1}
    return Create(operation_id=operation_id, accepted_at=1, data=data)


def increment(operation_id: str) -> Update:
    patch = QueuedPatch(
        op=PatchOp.INCR, path=["points"], value=[1], metadata=PatchMetadata("app", "t", "task")
    )
    return Update(operation_id=operation_id, accepted_at=2, data=[patch])


def delete(operation_id: str) -> Delete:
    return Delete(operation_id=operation_id, accepted_at=3, data=Deletion("t", "task", "app"))


@pytest.mark.parametrize("seconds_ago", [0.0, 60.0])
async def test_what_another_writer_has_applied_and_the_object_forgotten_is_not_applied_again(
    world: World, seconds_ago: float
) -> None:
    await world.process(create(an_id(seconds_ago)))
    held = increment(an_id(seconds_ago))
    await world.process(held)
    count = OPERATIONS_REMEMBERED + 10
    for _ in range(count):
        await world.process(increment(an_id(seconds_ago)))
    assert world.stored["points"] == count + 1

    await world.process(held)

    assert world.stored["points"] == count + 1


async def test_what_another_writer_has_rejected_is_not_applied_later(world: World) -> None:
    await world.process(create(an_id(60)))
    held = create(an_id(60))
    await world.process(held)  # it is rejected: the object exists
    await world.process(delete(an_id(60)))

    await world.process(held)

    assert world.database.records[KEY].deleted_at is not None


async def test_a_batch_that_lost_its_compare_and_set_is_judged_by_the_fates(world: World) -> None:
    await world.process(create(an_id()))
    held, others = increment(an_id()), iter(range(1))

    async def be_overtaken(_: Any) -> None:
        for _ in others:  # another writer applies the same, between our load and our commit
            await world.process(held)
            for _ in itertools.repeat(None, OPERATIONS_REMEMBERED):
                await world.process(increment(an_id()))

    world.database.loaded = be_overtaken
    await world.process(held)

    assert world.stored["points"] == OPERATIONS_REMEMBERED + 1


async def test_new_operations_are_applied_without_looking_for_their_fates(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unexpected(*_: Any) -> None:
        raise AssertionError("no fate is needed")

    monkeypatch.setattr(world.registry.fates, "get", unexpected)
    await world.process(create(an_id()))
    for _ in range(10):
        await world.process(increment(an_id()))
    assert world.stored["points"] == 10
