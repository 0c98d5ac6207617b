"""What a filter means to a database: what it means to the matcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filter_parser import parse_filter
from nexxus.domain.filters import (
    EVERYTHING,
    NOTHING,
    And,
    Compare,
    Filter,
    In,
    Missing,
    Not,
    Op,
    Or,
)
from nexxus.domain.objects import Document
from nexxus.interfaces.database import Database
from nexxus.testing import naive_filter, strategies
from nexxus.testing.database_kit.materials import AnyDatabase, ids, new_app, store, task
from nexxus.testing.strategies import RICH_MODEL

MAX_INT: Final = 2**53


def matching(filter: Filter, documents: Sequence[Document]) -> set[str]:
    """The ids of the documents that the matcher lets through."""
    holds = compile_matcher(filter)
    return {document["id"] for document in documents if holds(document)}


class FiltersConformance(AnyDatabase):
    """What a filter finds."""

    @pytest.mark.parametrize(
        ("filter", "expected"),
        [
            (EVERYTHING, "abcd"),
            (NOTHING, ""),
            (Compare("id", Op.EQ, "a"), "a"),
            (In("id", ("a", "c", "zz")), "ac"),
            (Compare("title", Op.EQ, "one"), "a"),
            (Compare("Title", Op.EQ, "one"), "b"),
            (Compare("title", Op.EQ, "ONE"), ""),
            (Not(Compare("title", Op.EQ, "one")), "bcd"),
            (In("title", ("one", "two")), "ab"),
            (Not(In("title", ("one", "two"))), "cd"),
            (Compare("points", Op.EQ, 1), "a"),
            (Compare("points", Op.GT, 1), "b"),
            (Compare("points", Op.GTE, 1), "ab"),
            (Compare("points", Op.LT, 1.5), "a"),
            (Compare("points", Op.LTE, -1), ""),
            (Not(Compare("points", Op.GT, 1)), "acd"),
            (In("points", (1, 2, 3)), "ab"),
            (Missing("points"), "cd"),
            (Not(Missing("points")), "ab"),
            (Compare("score", Op.EQ, 0.1), "b"),
            (Compare("score", Op.EQ, 2), "a"),
            (Compare("score", Op.GT, 0.1), "a"),
            (In("score", (0.1, 2)), "ab"),
            (Compare("done", Op.EQ, True), "a"),
            (Compare("done", Op.EQ, False), "b"),
            (In("done", (False, True)), "ab"),
            (Not(Compare("done", Op.EQ, True)), "bcd"),
            (Compare("due", Op.GTE, 1_700_000_000), "a"),
            (Compare("tags", Op.CONTAINS, "x"), "a"),
            (Not(Compare("tags", Op.CONTAINS, "x")), "bcd"),
            (Missing("tags"), "bcd"),
            (Not(Missing("tags")), "a"),
            (Compare("marks", Op.CONTAINS, 1), "a"),
            (Compare("marks", Op.CONTAINS, 0.1), "a"),
            (Compare("place.city", Op.EQ, "Oslo"), "a"),
            (Compare("place.at.lat", Op.LT, 0), "a"),
            (Missing("place.at.lat"), "bcd"),
            (Compare("userId", Op.EQ, "u1"), "b"),
            (Missing("userId"), "acd"),
            (Compare("createdAt", Op.GT, 1_700_000_000), "d"),
            (And((Compare("done", Op.EQ, True), Compare("points", Op.EQ, 1))), "a"),
            (And((Compare("done", Op.EQ, True), Compare("points", Op.EQ, 2))), ""),
            (Or((Compare("done", Op.EQ, True), Compare("points", Op.EQ, 2))), "ab"),
            (Not(And((Missing("points"), Missing("userId")))), "ab"),
            (Not(Or((Compare("points", Op.GT, 0), Compare("score", Op.GT, 0)))), "cd"),
        ],
    )
    async def test_a_filter_finds_exactly_what_it_describes(
        self, database: Database, app: str, filter: Filter, expected: str
    ) -> None:
        a = task(
            app, "a", title="one", points=1, score=2.0, done=True, due=1_700_000_000,
            tags=["x", "y", "x"], marks=[0.1, 1.0], place={"city": "Oslo", "at": {"lat": -0.5}},
        )  # fmt: skip
        b = task(
            app, "b", title="two", Title="one", points=2, score=0.1, done=False, due=-1,
            tags=[], userId="u1",
        )  # fmt: skip
        c = task(app, "c", Title=None, points=None, due=None, tags=None, place={"at": {}})
        d = task(app, "d", createdAt=1_700_000_001)
        await store(database, a, b, c, d)
        assert await ids(database, app, filter) == set(expected)

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "\x00",
            "a",
            "a\x00",
            "a\x00b",
            "a ",
            "A",
            "é",
            "e\u0301",
            "🙂",
            "\uffff",
            "%",
            "'",
            '"',
        ],
    )
    async def test_strings_are_equal_when_their_code_points_are(
        self, database: Database, app: str, value: str
    ) -> None:
        others = ["", "\x00", "a", "a\x00", "a\x00b", "a ", "A", "é", "e\u0301", "🙂", "\uffff"]
        others += ["%", "'", '"']
        await store(
            database,
            *(task(app, f"t{n}", title=other, tags=[other]) for n, other in enumerate(others)),
        )
        expected = {f"t{others.index(value)}"}
        assert await ids(database, app, Compare("title", Op.EQ, value)) == expected
        assert await ids(database, app, In("title", ("nothing", value))) == expected
        assert await ids(database, app, Compare("tags", Op.CONTAINS, value)) == expected

    @pytest.mark.parametrize(
        "value",
        [0, 0.1, 0.1 + 0.2, 0.3, 1 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
         -1.5, MAX_INT, MAX_INT - 1, -MAX_INT, 1e300, 123456789.12345679],
    )  # fmt: skip
    async def test_numbers_are_compared_without_rounding(
        self, database: Database, app: str, value: float
    ) -> None:
        numbers = [0.0, 0.1, 0.1 + 0.2, 0.3, 1 / 3, 5e-324, 2.2250738585072014e-308, -1.5, 1e300]
        numbers += [1.7976931348623157e308, float(MAX_INT), float(MAX_INT - 1), -float(MAX_INT)]
        numbers += [123456789.12345679, 123456789.1234568]
        await store(
            database,
            *(task(app, f"t{n}", score=number, marks=[number]) for n, number in enumerate(numbers)),
        )

        def where(holds: Any) -> set[str]:
            return {f"t{n}" for n, number in enumerate(numbers) if holds(number)}

        equal = where(lambda number: number == value)
        assert len(equal) == 1
        assert await ids(database, app, Compare("score", Op.EQ, value)) == equal
        assert await ids(database, app, In("score", (-77, value))) == equal
        assert await ids(database, app, Compare("marks", Op.CONTAINS, value)) == equal
        greater = await ids(database, app, Compare("score", Op.GT, value))
        assert greater == where(lambda number: number > value)
        at_most = await ids(database, app, Compare("score", Op.LTE, value))
        assert at_most == where(lambda number: number <= value)

    async def test_the_largest_filter_that_is_allowed_is_answered(
        self, database: Database, app: str
    ) -> None:
        parts: list[Filter] = []
        for n in range(128):
            numbers = tuple(m + n / 128 for m in range(1024))
            parts.append(Not(In("score", tuple(-1 - number for number in numbers))))
            parts.append(Or((In("title", tuple(f"{n}-{m}" for m in range(1024))), EVERYTHING)))
        await store(database, task(app, "a", score=5.5), task(app, "b", score=-5.5))
        assert await ids(database, app, And(tuple(parts))) == {"a"}

    async def test_the_deepest_filter_that_is_allowed_is_answered(
        self, database: Database, app: str
    ) -> None:
        chains = [_chain(levels=61, step=step) for step in range(1, 5)]
        deep = And((Or((chains[0], Not(chains[1]))), Or((Not(chains[2]), chains[3]))))
        documents = [task(app, f"t{n}", points=n) for n in range(66)]
        await store(database, *documents)
        for part in (*chains, deep, Not(deep)):
            assert await ids(database, app, part) == matching(part, documents)

    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.differing_executors,  # a kit's test runs in a class for each database
        ],
    )
    @given(
        objects=st.lists(strategies.documents(), min_size=1, max_size=12),
        asked=st.lists(strategies.filter_documents(), min_size=1, max_size=8),
    )
    async def test_the_database_the_matcher_and_the_contract_mean_the_same(
        self, database: Database, objects: list[Document], asked: list[dict[str, Any]]
    ) -> None:
        app_id = new_app()
        names = ["1", "2", "a", "A", *(f"t{n}" for n in range(8))]  # the first four are asked for
        named = zip(objects, names, strict=False)
        stored = [{**d, "id": name, "appId": app_id, "version": 1} for d, name in named]
        await database.prepare(app_id, [RICH_MODEL])
        await store(database, *stored)
        for spelled in asked:
            meant = {d["id"] for d in stored if naive_filter.matches(spelled, RICH_MODEL, d)}
            others = {d["id"] for d in stored} - meant
            parsed = parse_filter(spelled, RICH_MODEL)
            assert matching(parsed, stored) == meant
            assert await ids(database, app_id, parsed, RICH_MODEL) == meant
            assert await ids(database, app_id, Not(parsed), RICH_MODEL) == others
        await database.drop(app_id)


def _chain(*, levels: int, step: int) -> Filter:
    """A filter that nests, with a condition at each level that matters for some points."""
    chain: Filter = Compare("points", Op.EQ, 0)
    for level in range(1, levels):
        condition = Compare("points", Op.EQ, level * step % 64)
        chain = Or((condition, chain)) if level % 2 else And((Not(condition), chain))
    return chain
