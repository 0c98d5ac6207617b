"""Opening a database, closing it, and what is there after a restart."""

from __future__ import annotations

import asyncio

import pytest

from nexxus.domain.filters import Compare, Op
from nexxus.domain.objects import ObjectKey
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.database import Database
from nexxus.testing.database_kit.materials import (
    TASK,
    AnyDatabase,
    delete,
    ids,
    loaded,
    store,
    task,
)


class OpeningConformance(AnyDatabase):
    """Opening, closing, asking."""

    async def test_an_open_database_answers_a_ping(self, database: Database) -> None:
        await database.ping()

    async def test_closing_twice_is_fine_and_a_closed_one_does_not_answer(
        self, database: Database, app: str
    ) -> None:
        await database.close()
        await database.close()
        with pytest.raises(ServiceUnavailable):
            await database.ping()
        with pytest.raises(ServiceUnavailable):
            await database.load([ObjectKey(app, "task", "a")])

    async def test_what_was_asked_for_is_finished_on_closing(
        self, database: Database, app: str
    ) -> None:
        documents = [task(app, f"t{n}") for n in range(50)]
        async with asyncio.TaskGroup() as group:
            for document in documents:
                group.create_task(store(database, document))
            await asyncio.sleep(0)  # lets each of them begin
            group.create_task(database.close())
        reopened = await self.reopen(database)
        try:
            assert await ids(reopened, app) == {document["id"] for document in documents}
        finally:
            await reopened.close()


class RestartConformance(AnyDatabase):
    """What outlives the process."""

    async def test_everything_is_there_after_a_restart(self, database: Database, app: str) -> None:
        await store(database, task(app, "a", title="one"), task(app, "b", tags=["x"]))
        await delete(database, await loaded(database, ObjectKey(app, "task", "a")))
        reopened = await self.reopen(database)
        try:
            await reopened.prepare(app, [TASK])
            assert await ids(reopened, app, Compare("tags", Op.CONTAINS, "x")) == {"b"}
            tombstone = await loaded(reopened, ObjectKey(app, "task", "a"))
            assert (tombstone.version, tombstone.deleted_at is not None) == (2, True)
        finally:
            await reopened.close()
