"""The outbox: events of stored objects reach the workers, even in a later process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.adapters.sqlite.database import SqliteDatabase
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.domain.events import Event
from nexxus.domain.objects import ObjectKey
from nexxus.domain.schema import build_model
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Group, worker_group
from nexxus.interfaces.database import Database, Mutation, Record
from nexxus.testing.broker_kit.materials import consume, is_quiet
from nexxus.testing.journal import Journal
from nexxus.writer.memory import remember
from nexxus.writer.outbox import Outbox

MAIL, HOOKS = worker_group("mail"), worker_group("hooks")
ITEM = build_model("item", {})


def write(object_id: str, version: int = 1, expected: Record | None = None) -> Mutation:
    """The mutation of the operation that caused `event`."""
    key = ObjectKey("shop", "item", object_id)
    former = b"" if expected is None else expected.memory
    memory = remember(former, f"{object_id}@{version}", None, committed_together=1)
    return Mutation(key, expected, Record(document(object_id, version), version, memory=memory))


def document(object_id: str, version: int) -> dict[str, object]:
    times = {"createdAt": 1, "updatedAt": 1}
    return {"id": object_id, "type": "item", "appId": "shop", "version": version, **times}


def event(object_id: str, version: int = 1) -> Event:
    after = document(object_id, version)
    operation = f"{object_id}@{version}"
    return Event(
        "model_created", "shop", "item", object_id, version, None, after, operation_id=operation
    )


class Process:
    """A process with a database: its broker, its outbox, and the messages of its workers."""

    def __init__(self, database: Database, groups: Sequence[Group[Event]] = (MAIL, HOOKS)) -> None:
        self.broker = InProcessBroker(InProcessBrokerSettings())
        self.outbox = Outbox(database, self.broker, groups, Journal())

    async def start(self) -> Process:
        await self.broker.open()
        await self.outbox.open()
        for group in (MAIL, HOOKS):
            await self.broker.declare(group)
        await self.outbox.recover()
        return self

    async def delivered(self) -> dict[str, list[str]]:
        """Take the waiting events of each group, and return their operations."""
        found = {}
        for group in (MAIL, HOOKS):
            consumer = await consume(self.broker, group)
            waiting = await self.broker.depth(group)
            taken = await consumer.take(waiting) if waiting else []
            found[group.name] = [message.payload.operation_id for message in taken]
            assert await is_quiet(consumer)
        return found


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(SqliteSettings(), data_dir=tmp_path)
    await database.open()
    await database.prepare("shop", [ITEM])
    yield database
    await database.close()


async def test_the_next_process_delivers_unsettled_events_in_version_order(
    database: Database,
) -> None:
    outbox = (await Process(database).start()).outbox
    assert await outbox.commit([write("a"), write("b")], [event("a"), event("b")]) == [True, True]
    (stored,) = await database.load([ObjectKey("shop", "item", "a")])
    await outbox.commit([write("a", 2, stored)], [event("a", 2)])
    outbox.settle(MAIL.name, [event("b")])

    later = await Process(database).start()

    delivered = await later.delivered()
    assert sorted(delivered[MAIL.name]) == ["a@1", "a@2", "b@1"]
    assert sorted(delivered[HOOKS.name]) == ["a@1", "a@2", "b@1"]
    assert delivered[MAIL.name].index("a@1") < delivered[MAIL.name].index("a@2")


async def test_events_settled_by_every_worker_are_cleared(database: Database) -> None:
    outbox = (await Process(database).start()).outbox
    await outbox.commit([write("a")], [event("a")])
    outbox.settle(MAIL.name, [event("a")])
    await outbox.clear()
    assert (await (await Process(database).start()).delivered())[HOOKS.name] == ["a@1"]

    outbox.settle(HOOKS.name, [event("a")])
    await outbox.clear()

    assert await (await Process(database).start()).delivered() == {MAIL.name: [], HOOKS.name: []}


async def test_a_batch_reuses_a_settled_slot(database: Database) -> None:
    outbox = (await Process(database).start()).outbox
    for number in range(5):
        its_event = event(f"i{number}")
        await outbox.commit([write(f"i{number}")], [its_event])
        outbox.settle(MAIL.name, [its_event])
        outbox.settle(HOOKS.name, [its_event])
    await outbox.commit([write("last")], [event("last")])

    delivered = await (await Process(database).start()).delivered()

    assert delivered[MAIL.name] == ["last@1"]


async def test_an_object_changed_meanwhile_has_no_event(database: Database) -> None:
    outbox = (await Process(database).start()).outbox
    await outbox.commit([write("a")], [event("a")])
    assert await outbox.commit([write("a"), write("b")], [event("a"), event("b")]) == [False, True]
    for settled in (event("a"), event("b")):
        for group in (MAIL, HOOKS):
            outbox.settle(group.name, [settled])
    await outbox.clear()

    assert (await (await Process(database).start()).delivered())[MAIL.name] == []


async def test_without_a_transaction_an_event_whose_object_was_never_stored_is_dropped(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteDatabase, "is_atomic", False)
    outbox = (await Process(database).start()).outbox
    await outbox.commit([write("a")], [event("a")])
    commit = database.commit

    async def crash(mutations: Sequence[Mutation]) -> list[bool]:
        if mutations[0].key.app_id == "shop":
            raise ServiceUnavailable("the process is killed here")
        return await commit(mutations)

    monkeypatch.setattr(database, "commit", crash)
    with pytest.raises(ServiceUnavailable):
        await outbox.commit([write("b")], [event("b")])
    monkeypatch.setattr(database, "commit", commit)

    assert (await (await Process(database).start()).delivered())[MAIL.name] == ["a@1"]


def settle(outbox: Outbox, *events: Event) -> None:
    for group in (MAIL, HOOKS):
        outbox.settle(group.name, events)


async def test_without_a_transaction_an_event_of_a_write_that_lost_a_race_is_dropped(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteDatabase, "is_atomic", False)
    outbox = (await Process(database).start()).outbox
    never = msgspec.structs.replace(event("a"), operation_id="never applied")
    assert await outbox.commit([write("b")], [event("b")]) == [True]
    commit = database.commit

    async def fail(mutations: Sequence[Mutation]) -> list[bool]:
        if mutations[0].key.app_id == "shop":
            raise ServiceUnavailable("the process is killed here")
        return await commit(mutations)

    monkeypatch.setattr(database, "commit", fail)
    with pytest.raises(ServiceUnavailable):
        await outbox.commit([write("a")], [never])
    monkeypatch.setattr(database, "commit", commit)
    assert await outbox.commit([write("a")], [event("a")]) == [True]

    delivered = await (await Process(database).start()).delivered()
    assert sorted(delivered[MAIL.name]) == ["a@1", "b@1"]


async def test_a_batch_may_take_a_slot_while_others_are_cleared(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = (await Process(database).start()).outbox
    for name in ("a", "b"):
        await outbox.commit([write(name)], [event(name)])
    settle(outbox, event("a"), event("b"))
    commit, begun, may_go_on = database.commit, asyncio.Event(), asyncio.Event()

    async def wait(mutations: Sequence[Mutation]) -> list[bool]:
        begun.set()
        await may_go_on.wait()
        return await commit(mutations)

    monkeypatch.setattr(database, "commit", wait)
    clearing = asyncio.create_task(outbox.clear())
    await begun.wait()
    monkeypatch.setattr(database, "commit", commit)
    await outbox.commit([write("c")], [event("c")])
    may_go_on.set()
    await clearing

    delivered = await (await Process(database).start()).delivered()
    assert delivered[MAIL.name] == ["c@1"]


async def test_a_commit_whose_response_was_lost_is_settled_like_any_other(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = (await Process(database).start()).outbox
    commit = database.commit

    async def lose_the_answer(mutations: Sequence[Mutation]) -> list[bool]:
        await commit(mutations)
        raise ServiceUnavailable("no answer")

    monkeypatch.setattr(database, "commit", lose_the_answer)
    with pytest.raises(ServiceUnavailable):
        await outbox.commit([write("a")], [event("a")])
    monkeypatch.setattr(database, "commit", commit)
    await outbox.clear()
    assert (await (await Process(database).start()).delivered())[MAIL.name] == ["a@1"]

    settle(outbox, event("a"))  # the writer finds it applied, and publishes the event again
    await outbox.clear()

    assert (await (await Process(database).start()).delivered())[MAIL.name] == []


async def test_a_commit_that_did_not_happen_leaves_no_slot(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = (await Process(database).start()).outbox
    commit = database.commit

    async def fail(mutations: Sequence[Mutation]) -> list[bool]:
        raise ServiceUnavailable("away")

    for number in range(5):
        monkeypatch.setattr(database, "commit", fail)
        with pytest.raises(ServiceUnavailable):
            await outbox.commit([write("a")], [event("a")])
        monkeypatch.setattr(database, "commit", commit)
        await outbox.clear()
        if number == 2:
            await outbox.commit([write("b")], [event("b")])
    await outbox.commit([write("a")], [event("a")])
    assert outbox.figures().slots == 2
    assert outbox.figures().slots_in_use == 2


async def test_the_outbox_survives_a_database_failure_while_clearing(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = (await Process(database).start()).outbox
    await outbox.commit([write("a")], [event("a")])
    settle(outbox, event("a"))
    commit, asked = database.commit, asyncio.Event()

    async def fail(mutations: Sequence[Mutation]) -> list[bool]:
        asked.set()
        raise ServiceUnavailable("away")

    monkeypatch.setattr(database, "commit", fail)
    await outbox.clear()
    assert asked.is_set()
    monkeypatch.setattr(database, "commit", commit)
    await outbox.clear()
    assert (await (await Process(database).start()).delivered())[MAIL.name] == []


async def test_without_workers_the_events_of_former_ones_are_cleared(database: Database) -> None:
    outbox = (await Process(database).start()).outbox
    await outbox.commit([write("a")], [event("a")])

    without = (await Process(database, groups=()).start()).outbox
    assert await without.commit([write("b")], [event("b")]) == [True]
    await without.clear()

    assert (await (await Process(database).start()).delivered())[MAIL.name] == []
