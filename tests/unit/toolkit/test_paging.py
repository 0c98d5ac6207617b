"""All objects of a query, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexxus.adapters.sqlite.database import SqliteDatabase
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.interfaces.database import Database, Query, SortKey
from nexxus.testing.database_kit.materials import TASK, store, task
from nexxus.toolkit.paging import pages


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = SqliteDatabase(SqliteSettings(synchronous="normal"), data_dir=tmp_path)
    await database.open()
    await database.prepare("app", [TASK])
    yield database
    await database.close()


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (6, [3, 3]), (7, [3, 3, 1])])
async def test_every_object_is_on_one_page_and_no_page_is_empty(
    database: Database, count: int, sizes: list[int]
) -> None:
    await store(database, *(task("app", f"t{n}", points=n % 2) for n in range(count)))
    query = Query("app", TASK, sort=(SortKey("points", True), SortKey("id")), limit=3)
    found = [page async for page in pages(database, query)]
    assert [len(page) for page in found] == sizes
    assert [document["id"] for page in found for document in page] == [
        f"t{n}" for n in sorted(range(count), key=lambda n: (-(n % 2), n))
    ]


async def test_an_object_created_after_the_page_is_returned_once(database: Database) -> None:
    await store(database, *(task("app", f"t{n}") for n in (1, 2, 3)))
    met: list[str] = []
    async for page in pages(database, Query("app", TASK, limit=2)):
        if not met:
            await store(database, task("app", "t0"), task("app", "t9"))
        met += [document["id"] for document in page]
    assert met == ["t1", "t2", "t3", "t9"]


async def test_pages_begin_where_the_query_continues(database: Database) -> None:
    await store(database, *(task("app", f"t{n}") for n in range(5)))
    query = Query("app", TASK, sort=(SortKey("id"),), limit=2, after=("t1",))
    found = [[document["id"] for document in page] async for page in pages(database, query)]
    assert found == [["t2", "t3"], ["t4"]]
