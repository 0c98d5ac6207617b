"""The order in which a database finds objects, and its pages."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from nexxus.domain.filter_matcher import compile_matcher, is_missing
from nexxus.domain.filters import Compare, Not, Op
from nexxus.domain.objects import Document, value_at
from nexxus.interfaces.database import Database, Query, SortKey
from nexxus.testing.database_kit.materials import TASK, AnyDatabase, pages, store, task


def in_order(documents: Sequence[Document], sort: Sequence[SortKey]) -> list[Document]:
    """The documents in the order of the contract, the plain way."""
    ordered = list(documents)
    for key in reversed(sort):
        there = [d for d in ordered if not is_missing(value_at(d, key.path))]
        missing = [d for d in ordered if is_missing(value_at(d, key.path))]
        there.sort(key=lambda d, path=key.path: value_at(d, path), reverse=key.descending)  # type: ignore[misc]
        ordered = there + missing
    return ordered


class PagesConformance(AnyDatabase):
    """Orders and pages."""

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("path", ["title", "points", "score", "done", "due", "place.at.lat"])
    async def test_missing_values_come_last_in_both_directions(
        self, database: Database, app: str, path: str, descending: bool
    ) -> None:
        documents = _some_tasks(app)
        await store(database, *documents)
        sort = (SortKey(path, descending), SortKey("id"))
        found = await database.search(Query(app, TASK, sort=sort, limit=100))
        assert [d["id"] for d in found] == [d["id"] for d in in_order(documents, sort)]

    async def test_strings_are_ordered_by_code_points(self, database: Database, app: str) -> None:
        titles = ["a", "B", "é", "z", "\uffff", "\U0001f642", "", "a\x00", "aa"]
        await store(database, *(task(app, f"t{n}", title=t) for n, t in enumerate(titles)))
        sort = (SortKey("title"), SortKey("id"))
        found = await database.search(Query(app, TASK, sort=sort, limit=100))
        assert [d["title"] for d in found] == sorted(titles)

    async def test_by_default_the_oldest_come_first_and_ids_break_ties(
        self, database: Database, app: str
    ) -> None:
        late, b, a = task(app, "0", createdAt=1_700_000_009), task(app, "b"), task(app, "a")
        await store(database, late, b, a)
        found = await database.search(Query(app, TASK))
        assert [document["id"] for document in found] == ["a", "b", "0"]

    @pytest.mark.parametrize(
        "sort",
        [
            (SortKey("id"),),
            (SortKey("id", True),),
            (SortKey("createdAt"), SortKey("id")),
            (SortKey("createdAt", True), SortKey("id", True)),
            (SortKey("points"), SortKey("id")),
            (SortKey("points", True), SortKey("id")),
            (SortKey("done"), SortKey("points", True), SortKey("title"), SortKey("id")),
            (SortKey("done", True), SortKey("points"), SortKey("title", True), SortKey("id", True)),
            (SortKey("Title"), SortKey("due", True), SortKey("place.at.lat"), SortKey("id")),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 3, 7])
    async def test_pages_continue_exactly_where_the_last_one_ended(
        self, database: Database, app: str, sort: tuple[SortKey, ...], limit: int
    ) -> None:
        documents = _some_tasks(app)
        await store(database, *documents)
        expected = [document["id"] for document in in_order(documents, sort)]
        assert await pages(database, app, sort, limit) == expected

    async def test_pages_are_stable_while_objects_come_and_go(
        self, database: Database, app: str
    ) -> None:
        await store(database, *(task(app, f"t{n}", points=n) for n in range(6)))
        sort = (SortKey("points"), SortKey("id"))
        query = Query(app, TASK, sort=sort, limit=3, after=(2, "t2"))
        before = await database.search(query)
        await store(database, task(app, "first", points=-1), task(app, "second", points=2))
        assert [d["id"] for d in before] == ["t3", "t4", "t5"]
        assert await database.search(query) == before

    async def test_an_offset_skips_and_a_limit_cuts(self, database: Database, app: str) -> None:
        documents = _some_tasks(app)
        await store(database, *documents)
        sort = (SortKey("points"), SortKey("id"))
        expected = [d["id"] for d in in_order(documents, sort)]
        for offset, limit in [(0, 5), (3, 4), (len(expected) - 1, 5), (100, 5), (2**60, 1)]:
            query = Query(app, TASK, sort=sort, limit=limit, offset=offset)
            found = [d["id"] for d in await database.search(query)]
            assert found == expected[offset : offset + limit]

    async def test_a_page_holds_only_what_matches(self, database: Database, app: str) -> None:
        documents = _some_tasks(app)
        await store(database, *documents)
        sort = (SortKey("title", True), SortKey("id"))
        undone = Not(Compare("done", Op.EQ, True))
        holds = compile_matcher(undone)
        expected = [d for d in in_order(documents, sort) if holds(d)]
        after = (value_at(expected[2], "title"), expected[2]["id"])
        query = Query(app, TASK, undone, sort, limit=4, after=after)
        assert await database.search(query) == expected[3:7]


def _some_tasks(app_id: str) -> list[Document]:
    """Tasks with many ties and many missing values, the same ones every time."""
    dice = random.Random(7)
    choices: dict[str, list[Any]] = {
        "title": ["", "a", "b", "é", "\x00"],
        "Title": ["x", "y", None],
        "points": [-1, 0, 1, 2, None],
        "score": [-0.5, 0.0, 0.1, 1e300],
        "done": [False, True],
        "due": [1_700_000_000, 5, None],
        "place": [{}, {"at": {}}, {"at": {"lat": 1.5}}, {"at": {"lat": -1.5}}],
    }
    documents = []
    for n in range(40):
        fields = {name: dice.choice(c) for name, c in choices.items() if dice.random() < 0.75}
        stamp = 1_700_000_000 + dice.randrange(4)
        documents.append(task(app_id, f"t{n:02}", createdAt=stamp, **fields))
    dice.shuffle(documents)
    return documents
