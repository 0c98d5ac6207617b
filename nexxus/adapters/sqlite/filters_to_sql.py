"""Filters as SQL: exactly what the matcher says, for objects in columns.

A condition's SQL is 1, 0 or NULL, where NULL counts as 0: so it does in ``AND``, in ``OR`` and in
``WHERE``, and under `Not` it is made 0 first. Values are always bound; a set of values is one
parameter whatever its size, so that neither SQLite's limit of variables nor its cache of
statements suffers from large ones.

SQLite's parser takes some thirty nested parentheses for granted and gives up at a hundred. What
is deeper than `MAX_DEPTH` becomes a column of its own in a chain of common table expressions,
which the planner flattens again.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from nexxus.adapters.sqlite.tables import Table
from nexxus.adapters.sqlite.values import column_value
from nexxus.domain.filters import And, Compare, Filter, In, Missing, Not, Op, Or, Scalar

MAX_DEPTH: Final = 16

_ORDER: Final = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}


class Condition(NamedTuple):
    """SQL to stand in parentheses, its values, and how deep it nests."""

    sql: str
    values: Sequence[Any]
    depth: int = 1


class Source(NamedTuple):
    """The objects that match: ``{prefix} SELECT … FROM {table} WHERE {condition}``."""

    prefix: str
    prefix_values: Sequence[Any]
    table: str
    condition: Condition


def compile_filter(filter: Filter, table: Table) -> Source:
    """The objects of `table` that match `filter`."""
    compiler = _Compiler(table)
    condition = compiler.compile(filter)
    if not compiler.parts:
        return Source("", (), table.objects, condition)
    names = [table.objects, *(f"part_{n}" for n in range(1, len(compiler.parts) + 1))]
    expressions = [
        f"{name} AS NOT MATERIALIZED (SELECT *, ({part.sql}) AS {name} FROM {previous})"
        for part, (previous, name) in zip(compiler.parts, itertools.pairwise(names), strict=True)
    ]
    values = [value for part in compiler.parts for value in part.values]
    return Source(f"WITH {', '.join(expressions)}", values, names[-1], condition)


class _Compiler:
    def __init__(self, table: Table) -> None:
        self._table = table
        self.parts: list[Condition] = []

    def compile(self, filter: Filter) -> Condition:
        match filter:
            case Compare():
                return self._comparison(filter)
            case In(path, values):
                return self._membership(self._table.name_of(path), values)
            case Missing(path):
                return Condition(f"{self._table.name_of(path)} IS NULL", ())
            case Not(part):
                inner = self._within_depth(self.compile(part))
                return Condition(f"NOT ifnull(({inner.sql}), 0)", inner.values, inner.depth + 2)
            case And(parts):
                return self._join("AND", [self.compile(part) for part in parts], "1")
            case Or(parts):
                return self._join("OR", [self.compile(part) for part in parts], "0")

    def _comparison(self, condition: Compare) -> Condition:
        value = column_value(condition.value)
        if condition.op is Op.CONTAINS:
            column = self._table.column_of(condition.path)
            elements = self._table.elements
            return Condition(
                f'number IN (SELECT object FROM {elements} WHERE "column" = ? AND value = ?)',
                (column.number, value),
            )
        name = self._table.name_of(condition.path)
        if condition.op is Op.EQ:
            return Condition(f"{name} = ?", (value,))
        # Only numbers have an order, and every number comes before every string.
        return Condition(f"{name} {_ORDER[condition.op]} ? AND {name} < ''", (value,))

    def _membership(self, name: str, values: Sequence[Scalar]) -> Condition:
        stored = [column_value(value) for value in values]
        numbers = [value for value in stored if isinstance(value, int)]
        strings = [value.encode() for value in stored if isinstance(value, str)]
        either = [
            Condition(f"{name} = ?", (value,)) for value in stored if isinstance(value, bytes)
        ]
        if numbers:
            either.append(
                Condition(
                    f"{name} IN (SELECT value FROM json_each(?))", (msgspec.json.encode(numbers),)
                )
            )
        if strings:
            # SQLite's JSON ends strings at U+0000: they travel as one blob and where to cut it.
            starts = itertools.accumulate((len(string) for string in strings), initial=1)
            cuts = [[start, len(string)] for start, string in zip(starts, strings, strict=False)]
            either.append(
                Condition(
                    f"{name} IN (SELECT CAST(substr(?, json_extract(value, '$[0]'), "
                    "json_extract(value, '$[1]')) AS TEXT) FROM json_each(?))",
                    (b"".join(strings), msgspec.json.encode(cuts)),
                )
            )
        return self._join("OR", either, "0")

    def _join(self, operator: str, conditions: Sequence[Condition], empty: str) -> Condition:
        """All conditions in a tree that is as shallow as can be.

        The deeper operand stands first: the parser has then fewer operators to remember.
        """
        if not conditions:
            return Condition(empty, ())
        order = itertools.count()
        heap = [(condition.depth, next(order), condition) for condition in conditions]
        heapq.heapify(heap)
        while len(heap) > 1:
            (_, _, low), (_, _, high) = heapq.heappop(heap), heapq.heappop(heap)
            high = self._within_depth(high)
            joined = Condition(
                f"({high.sql}) {operator} ({low.sql})",
                [*high.values, *low.values],
                max(high.depth, low.depth) + 1,
            )
            heapq.heappush(heap, (joined.depth, next(order), joined))
        return heap[0][2]

    def _within_depth(self, condition: Condition) -> Condition:
        if condition.depth < MAX_DEPTH:
            return condition
        self.parts.append(condition)
        return Condition(f"part_{len(self.parts)}", ())
