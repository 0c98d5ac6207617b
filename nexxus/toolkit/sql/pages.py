"""Pages: a query as one statement that continues behind a key, and starts there in an index.

Missing values come last in both directions. A page therefore has up to two parts: the objects
that have the first sort key, then those that have not. Each part follows an index on that key,
forwards or backwards, and starts where the query is to continue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from nexxus.domain.filters import Filter
from nexxus.interfaces.database import Query, SortKey
from nexxus.toolkit.sql.dialect import PARAMETER, Dialect, Sql
from nexxus.toolkit.sql.filters import MatchingRows, compile_filter

MOST_ROWS: Final = 2**62
"""What a limit or an offset is cut to: databases take 64-bit integers."""

_END: Final = f"LIMIT {PARAMETER} OFFSET {PARAMETER}"


def select_page(query: Query, dialect: Dialect, column: str) -> Sql:
    """Return a statement for `column` of the query's objects, in their order.

    In parentheses it may be the subquery of another statement that keeps the order of its rows.
    Raises `ServiceUnavailable` if a path of the query was not prepared yet.
    """
    rows = compile_filter(query.filter, dialect)
    levels = _levels(query, dialect)
    parts = _parts(levels, dialect, continues=query.after is not None)
    if len(parts) == 1:
        ((text, values),) = _selects(column, rows, parts)
    else:
        text, values = _union(column, rows, parts, levels, dialect, query)
    values += [min(query.limit, MOST_ROWS), min(query.offset, MOST_ROWS)]
    return _complete(rows, f"{text} {_END}", values)


def select_count(filter: Filter, dialect: Dialect) -> Sql:
    """Return a statement that counts the matching objects.

    Raises `ServiceUnavailable` if a path of the filter was not prepared yet.
    """
    rows = compile_filter(filter, dialect)
    text = f"SELECT count(*) FROM {rows.table} WHERE {rows.condition.text}"
    return _complete(rows, text, rows.condition.values)


class _Level:
    """One level of an order, and the value to continue behind."""

    __slots__ = ("after", "descending", "is_id", "operand", "order")

    def __init__(self, key: SortKey, after: Any, dialect: Dialect, *, is_first: bool) -> None:
        self.operand = dialect.operand(key.path)
        self.descending = key.descending
        self.is_id = key.path == "id"
        self.after = None if after is None else dialect.bound(key.path, after)
        # The first key is there in the part that is sorted by it.
        self.order = dialect.order(
            self.operand,
            descending=key.descending,
            may_be_missing=not (self.is_id or is_first),
        )


class _Part(NamedTuple):
    """Some of a page's rows: their condition besides the filter, and their order."""

    condition: str
    values: Sequence[Any]
    order: str


def _levels(query: Query, dialect: Dialect) -> list[_Level]:
    after = query.after if query.after is not None else (None,) * len(query.sort)
    return [
        _Level(key, value, dialect, is_first=number == 0)
        for number, (key, value) in enumerate(zip(query.sort, after, strict=True))
    ]


def _parts(levels: Sequence[_Level], dialect: Dialect, *, continues: bool) -> list[_Part]:
    """The parts of a page, one after the other."""
    first, *rest = levels
    by_rest = ", ".join(level.order for level in rest)
    by_all = f"{first.order}, {by_rest}" if rest else first.order
    behind, values = _behind(levels) if continues else ("", [])
    if first.is_id:
        return [_Part(behind or dialect.always, values, by_all)]
    is_missing = f"{first.operand} IS NULL"
    missing = _Part(is_missing, (), by_rest)
    if not continues:
        return [_Part(f"{first.operand} IS NOT NULL", (), by_all), missing]
    if first.after is None:
        return [_Part(f"{is_missing} AND ({behind})", values, by_rest)]
    # The bound says nothing new, but a planner sees from it where to start.
    bound = f"{first.operand} {'<=' if first.descending else '>='} {PARAMETER}"
    return [_Part(f"{bound} AND ({behind})", [first.after, *values], by_all), missing]


def _behind(levels: Sequence[_Level]) -> tuple[str, list[Any]]:
    """The condition of coming behind a row: equal up to a level, and behind it there."""
    alternatives, values = list[str](), list[Any]()
    equal, equal_values = "", list[Any]()
    for level in levels:
        if level.after is None:  # nothing comes behind a missing value
            equal += f"{level.operand} IS NULL AND "
            continue
        beyond = f"{level.operand} {'<' if level.descending else '>'} {PARAMETER}"
        if not level.is_id:
            beyond = f"({beyond} OR {level.operand} IS NULL)"
        alternatives.append(f"{equal}{beyond}")
        equal_values.append(level.after)
        values += equal_values
        equal += f"{level.operand} = {PARAMETER} AND "
    return " OR ".join(alternatives), values


def _union(
    column: str,
    rows: MatchingRows,
    parts: Sequence[_Part],
    levels: Sequence[_Level],
    dialect: Dialect,
    query: Query,
) -> tuple[str, list[Any]]:
    """All parts, one after the other."""
    furthest = min(query.limit + query.offset, MOST_ROWS)
    selected = column
    if not dialect.keeps_order_of_unions:
        keys = (f"{level.operand} AS key_{n}" for n, level in enumerate(levels, 1))
        selected = f"{column}, {', '.join(keys)}"
    selects, values = list[str](), list[Any]()
    for number, (text, part_values) in enumerate(_selects(selected, rows, parts), 1):
        selects.append(f"SELECT * FROM ({text} LIMIT {PARAMETER}) AS rows_{number}")
        values += [*part_values, furthest]
    union = " UNION ALL ".join(selects)
    if dialect.keeps_order_of_unions:
        return union, values
    # It has no more rows than are skipped and returned, twice: sorting them costs little.
    order = ", ".join(
        dialect.order(f"key_{n}", descending=level.descending, may_be_missing=not level.is_id)
        for n, level in enumerate(levels, 1)
    )
    return f"SELECT {column} FROM ({union}) AS page ORDER BY {order}", values


def _selects(
    columns: str, rows: MatchingRows, parts: Sequence[_Part]
) -> list[tuple[str, list[Any]]]:
    begin = f"SELECT {columns} FROM {rows.table} WHERE ({rows.condition.text}) AND ("
    return [
        (f"{begin}{condition}) ORDER BY {order}", [*rows.condition.values, *values])
        for condition, values, order in parts
    ]


def _complete(rows: MatchingRows, text: str, values: Sequence[Any]) -> Sql:
    if not rows.prefix.text:
        return Sql(text, values)
    return Sql(f"{rows.prefix.text} {text}", [*rows.prefix.values, *values])
