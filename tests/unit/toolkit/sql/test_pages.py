"""Pages as SQL: they follow an index and start at the position of the cursor."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from postgres_dialects import TypedColumns, column_type

from nexxus.domain.filters import Compare, Op
from nexxus.interfaces.database import Query, SortKey
from nexxus.testing.database_kit.materials import TASK
from nexxus.toolkit.sql import Column, Columns, ColumnState, Dialect, select_count, select_page

PATHS = ("title", "points", "createdAt")
READY = [
    Column(number, path, column_type(TASK.filterable[path]), ColumnState.READY)
    for number, path in enumerate(PATHS)
]
POSTGRES = TypedColumns("tasks", TASK, Columns(READY))
BY_POINTS = (SortKey("points", True), SortKey("title"), SortKey("id"))


class _Ordered(TypedColumns):
    keeps_order_of_unions: ClassVar[bool] = True


ORDERED = _Ordered("tasks", TASK, Columns(READY))


def page(dialect: Dialect = POSTGRES, **query: Any) -> tuple[str, list[Any]]:
    statement, values = dialect.statement(
        select_page(Query("app", TASK, **query), dialect, "document")
    )
    return re.sub(r"\s+", " ", statement), values


def test_an_order_by_id_alone_is_one_select() -> None:
    assert page(sort=(SortKey("id", True),), after=("t5",), limit=3) == (
        "SELECT document FROM tasks WHERE (TRUE) AND (id < $1) ORDER BY id DESC LIMIT $2 OFFSET $3",
        ["t5", 3, 0],
    )


def test_objects_without_the_sort_key_form_a_separate_part_at_the_end() -> None:
    statement, values = page(
        ORDERED,
        filter=Compare("title", Op.EQ, "x"),
        sort=BY_POINTS,
        limit=3,
        offset=2,
    )
    assert statement == (
        "SELECT * FROM (SELECT document FROM tasks WHERE (c0 = $1) AND (c1 IS NOT NULL) "
        "ORDER BY c1 DESC, c0 ASC NULLS LAST, id ASC LIMIT $2) AS rows_1 UNION ALL "
        "SELECT * FROM (SELECT document FROM tasks WHERE (c0 = $3) AND (c1 IS NULL) "
        "ORDER BY c0 ASC NULLS LAST, id ASC LIMIT $4) AS rows_2 LIMIT $5 OFFSET $6"
    )
    assert values == ["x", 5, "x", 5, 3, 2]


def test_a_union_without_a_stable_order_is_sorted_by_all_keys() -> None:
    statement, _ = page(sort=BY_POINTS)
    assert statement.startswith(
        "SELECT document FROM (SELECT * FROM "
        "(SELECT document, c1 AS key_1, c0 AS key_2, id AS key_3 FROM tasks"
    )
    assert statement.endswith(
        "AS page ORDER BY key_1 DESC NULLS LAST, key_2 ASC NULLS LAST, key_3 ASC LIMIT $3 OFFSET $4"
    )


def test_a_page_continues_where_its_first_key_does() -> None:
    statement, values = page(
        _Ordered("tasks", TASK, Columns(READY)), sort=BY_POINTS, after=(7, "b", "t")
    )
    assert (
        "(c1 <= $1 AND ((c1 < $2 OR c1 IS NULL) OR c1 = $3 AND (c0 > $4 OR c0 IS NULL) "
        "OR c1 = $5 AND c0 = $6 AND id > $7))"
    ) in statement
    assert values[:7] == [7.0, 7.0, 7.0, "b", 7.0, "b", "t"]


def test_only_missing_values_follow_a_missing_value() -> None:
    statement, values = page(sort=BY_POINTS, after=(None, None, "t"), limit=1)
    assert statement == (
        "SELECT document FROM tasks WHERE (TRUE) AND "
        "(c1 IS NULL AND (c1 IS NULL AND c0 IS NULL AND id > $1)) "
        "ORDER BY c0 ASC NULLS LAST, id ASC LIMIT $2 OFFSET $3"
    )
    assert values == ["t", 1, 0]


def test_limits_beyond_the_databases_range_are_cut() -> None:
    _, values = page(limit=2**80, offset=2**80)
    assert max(value for value in values if value is not None) == 2**62


def test_a_count_has_only_the_filter() -> None:
    count = select_count(Compare("title", Op.EQ, "x"), POSTGRES)
    assert POSTGRES.statement(count) == ("SELECT count(*) FROM tasks WHERE c0 = $1", ["x"])
