"""Queries: one statement, and one row that holds the whole answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nexxus.adapters.sqlite.filters_to_sql import compile_filter
from nexxus.adapters.sqlite.tables import Table
from nexxus.adapters.sqlite.values import ColumnValue, column_value
from nexxus.domain.filters import Filter
from nexxus.interfaces.database import Query

MAX_ROWS: Final = 2**62


class _Level:
    """One level of an order: its column's name, direction, and the value to continue behind."""

    def __init__(self, name: str, *, descending: bool, after: ColumnValue) -> None:
        self.name = name
        self.descending = descending
        self.after = after
        self.beyond = "<" if descending else ">"
        self.is_id = name == "id"

    @property
    def order(self) -> str:
        direction = "DESC" if self.descending else "ASC"
        return f"{self.name} {direction}" if self.is_id else f"{self.name} {direction} NULLS LAST"


def select_documents(table: Table, query: Query) -> tuple[str, list[Any]]:
    """A statement, and its values, that finds a query's documents as one JSON array.

    Missing values come last: first the objects that have the first sort key, then those that
    have not. So each part follows an index, forwards or backwards, and starts where the query
    is to continue.
    """
    source = compile_filter(query.filter, table)
    levels = _levels(table, query)
    rows = min(query.limit + query.offset, MAX_ROWS)
    parts, values = [], list(source.prefix_values)
    for condition, condition_values, order in _branches(levels, query.after is not None):
        parts.append(
            f"SELECT document FROM (SELECT document FROM {source.table} "
            f"WHERE ({source.condition.sql}) AND ({condition}) "
            f"ORDER BY {', '.join(level.order for level in order)} LIMIT ?)"
        )
        values += [*source.condition.values, *condition_values, rows]
    statement = (
        f"{source.prefix} SELECT CAST('[' || ifnull(group_concat(document), '') || ']' AS BLOB) "
        f"FROM ({' UNION ALL '.join(parts)} LIMIT ? OFFSET ?)"
    )
    return statement, [*values, min(query.limit, MAX_ROWS), min(query.offset, MAX_ROWS)]


def count_objects(table: Table, filter: Filter) -> tuple[str, list[Any]]:
    """A statement, and its values, that counts the matching objects."""
    source = compile_filter(filter, table)
    statement = f"{source.prefix} SELECT count(*) FROM {source.table} WHERE {source.condition.sql}"
    return statement, [*source.prefix_values, *source.condition.values]


def _levels(table: Table, query: Query) -> list[_Level]:
    after = query.after if query.after is not None else (None,) * len(query.sort)
    levels = []
    for key, value in zip(query.sort, after, strict=True):
        name = table.name_of(key.path)
        levels.append(_Level(name, descending=key.descending, after=column_value(value)))
        if levels[-1].is_id:  # no two objects get further than this
            break
    return levels


_Branch = tuple[str, Sequence[Any], Sequence[_Level]]


def _branches(levels: Sequence[_Level], continues: bool) -> list[_Branch]:
    """The parts of the answer, one after the other: a condition, its values, its order."""
    first, *rest = levels
    if first.is_id:
        return [(f"id {first.beyond} ?", [first.after], levels) if continues else ("1", [], levels)]
    missing = f"{first.name} IS NULL"
    if not continues:
        return [(f"{first.name} IS NOT NULL", [], levels), (missing, [], rest)]
    behind, values = _behind(levels)
    if first.after is None:
        return [(f"{missing} AND ({behind})", values, rest)]
    # The bound says nothing new, but the planner sees from it where to start.
    bound = f"{first.name} {first.beyond}= ?"
    return [(f"{bound} AND ({behind})", [first.after, *values], levels), (missing, [], rest)]


def _behind(levels: Sequence[_Level]) -> tuple[str, list[Any]]:
    """The condition of standing behind `after`: equal up to a level, and beyond it there."""
    alternatives, values = [], []
    for depth, level in enumerate(levels):
        if level.after is None:  # nothing comes behind a missing value
            continue
        beyond = f"{level.name} {level.beyond} ?"
        if not level.is_id:
            beyond = f"({beyond} OR {level.name} IS NULL)"
        equal = [f"{former.name} IS ?" for former in levels[:depth]]
        alternatives.append(" AND ".join([*equal, beyond]))
        values += [former.after for former in levels[: depth + 1]]
    return " OR ".join(alternatives) or "0", values
