"""Filters as SQL, for two ways of storing filterable values in PostgreSQL."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pytest
from hypothesis import given
from postgres_dialects import JsonColumn, TypedColumns, column_type

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
from nexxus.errors import ServiceUnavailable
from nexxus.testing import strategies
from nexxus.testing.database_kit.materials import TASK
from nexxus.testing.strategies import RICH_MODEL
from nexxus.toolkit.sql import Column, Columns, ColumnState, Dialect, compile_filter, select_count

PATHS = ("title", "points", "done", "tags", "marks", "place.city", "due")
READY = [
    Column(number, path, column_type(TASK.filterable[path]), ColumnState.READY)
    for number, path in enumerate(PATHS)
]
TYPED = TypedColumns("tasks", TASK, Columns(READY))
JSONB = JsonColumn("tasks", TASK)


def condition(filter: Filter, dialect: Dialect) -> tuple[str, list[Any]]:
    return dialect.statement(compile_filter(filter, dialect).condition)


@pytest.mark.parametrize(
    ("filter", "typed", "jsonb", "values"),
    [
        (EVERYTHING, "TRUE", "TRUE", []),
        (NOTHING, "FALSE", "FALSE", []),
        (Compare("id", Op.EQ, "a"), "id = $1", "id = $1", ["a"]),
        (
            Compare("title", Op.EQ, "a"),
            "c0 = $1",
            "((search->>'title') COLLATE \"C\") = $1",
            ["a"],
        ),
        (
            Compare("points", Op.GTE, 1),
            "c1 >= $1",
            "(search->>'points')::double precision >= $1",
            [1.0],
        ),
        (Compare("done", Op.EQ, True), "c2 = $1", "(search->>'done')::boolean = $1", [True]),
        (
            Compare("tags", Op.CONTAINS, "x"),
            "c3 @> ARRAY[$1]::text[]",
            "search->'tags' @> to_jsonb($1::text)",
            ["x"],
        ),
        (
            In("points", (1, 2)),
            "c1 = ANY($1)",
            "(search->>'points')::double precision = ANY($1)",
            [[1.0, 2.0]],
        ),
        (
            Missing("place.city"),
            "c5 IS NULL",
            "((search->'place'->>'city') COLLATE \"C\") IS NULL",
            [],
        ),
        (
            Missing("tags"),
            "c3 IS NULL",
            "coalesce(search->'tags', '[]') IN ('[]', 'null')",
            [],
        ),
        (Not(Missing("due")), "(c6 IS NULL) IS NOT TRUE", None, []),
        (
            And((Compare("points", Op.GT, 1), Compare("points", Op.LT, 2))),
            "(c1 < $1) AND (c1 > $2)",
            None,
            [2.0, 1.0],
        ),
    ],
)
def test_a_condition_uses_the_dialects_sql(
    filter: Filter, typed: str, jsonb: str | None, values: list[Any]
) -> None:
    assert condition(filter, TYPED) == (typed, values)
    if jsonb is not None:
        assert condition(filter, JSONB) == (jsonb, values)


def test_an_unprepared_path_is_unavailable() -> None:
    with pytest.raises(ServiceUnavailable):
        compile_filter(Compare("score", Op.EQ, 1), TYPED)


@given(spelled=strategies.filter_documents())
def test_every_parameter_matches_its_placeholder(spelled: dict[str, Any]) -> None:
    dialect = JsonColumn("things", RICH_MODEL)
    count = select_count(parse_filter(spelled, RICH_MODEL), dialect)
    statement, values = dialect.statement(count)
    numbers = [int(number) for number in re.findall(r"\$(\d+)", statement)]
    assert numbers == list(range(1, len(values) + 1))


class _Shallow(TypedColumns):
    max_depth: ClassVar[int | None] = 4


def test_a_filter_too_deep_for_the_parser_becomes_a_chain_of_expressions() -> None:
    chain: Filter = Compare("points", Op.EQ, 0)
    for number in range(1, 12):
        kind = Or if number % 2 else And
        chain = kind((Not(Compare("points", Op.EQ, number)), Not(chain)))
    dialect = _Shallow("tasks", TASK, Columns(READY))
    rows = compile_filter(chain, dialect)
    statement, values = dialect.statement(select_count(chain, dialect))
    assert _depth(rows.condition.text) <= 4
    assert statement.startswith("WITH part_1 AS NOT MATERIALIZED (SELECT *, (")
    assert f"FROM {rows.table} WHERE" in statement
    assert sorted(values) == [float(number) for number in range(12)]
    assert _depth(compile_filter(chain, TYPED).condition.text) > 12


def test_many_conditions_nest_only_a_little() -> None:
    many = Or(tuple(Compare("points", Op.GT, number) for number in range(256)))
    assert _depth(compile_filter(many, TYPED).condition.text) <= 10


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest
