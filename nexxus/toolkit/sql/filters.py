"""Compiles filters to SQL that agrees exactly with the matcher.

`Dialect` spells the conditions on single paths. This module joins them with as little nesting as
possible, and splits conditions that nest too deeply for a database's parser.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from nexxus.domain.filters import And, Compare, Filter, In, Missing, Not, Op, Or
from nexxus.toolkit.sql.dialect import Dialect, Sql


class MatchingRows(NamedTuple):
    """The rows that match: ``{prefix} SELECT … FROM {table} WHERE {condition}``.

    The parameters of the prefix come first in a statement. It is empty but for deep filters.
    """

    prefix: Sql
    table: str
    condition: Sql


def compile_filter(filter: Filter, dialect: Dialect) -> MatchingRows:
    """Compile a filter for the dialect's table.

    Raises `ServiceUnavailable` if a path of the filter was not prepared yet.
    """
    compiler = _Compiler(dialect)
    condition = compiler.compile(filter)
    if not compiler.parts:
        return MatchingRows(Sql(""), dialect.table, condition)
    names = [dialect.table, *(f"part_{n}" for n in range(1, len(compiler.parts) + 1))]
    expressions = [
        f"{name} AS NOT MATERIALIZED (SELECT *, ({part.text}) AS {name} FROM {previous})"
        for part, (previous, name) in zip(compiler.parts, itertools.pairwise(names), strict=True)
    ]
    values = [value for part in compiler.parts for value in part.values]
    return MatchingRows(Sql(f"WITH {', '.join(expressions)}", values), names[-1], condition)


class _Compiler:
    """Compiles one filter. `parts` are the conditions that nest too deep to stand in another."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.parts: list[Sql] = []

    def compile(self, filter: Filter) -> Sql:
        match filter:
            case Compare(path, Op.EQ, value):
                return self._dialect.equals(path, value)
            case Compare(path, Op.CONTAINS, value):
                return self._dialect.contains(path, value)
            case Compare(path, op, value):
                return self._dialect.compares(path, op, value)
            case In(path, values):
                return self._dialect.is_among(path, values)
            case Missing(path):
                return self._dialect.is_missing(path)
            case Not(part):
                return self._dialect.negates(self._within_depth(self.compile(part)))
            case And(parts):
                return self._join("AND", [self.compile(part) for part in parts])
            case Or(parts):
                return self._join("OR", [self.compile(part) for part in parts])

    def _join(self, operator: str, conditions: Sequence[Sql]) -> Sql:
        """Join all conditions in a tree that is as shallow as can be.

        The deeper operand stands first: a parser then has fewer operators to remember.
        """
        if not conditions:
            return Sql(self._dialect.always if operator == "AND" else self._dialect.never)
        order = itertools.count()
        heap = [(condition.depth, next(order), condition) for condition in conditions]
        heapq.heapify(heap)
        while len(heap) > 1:
            (_, _, low), (_, _, high) = heapq.heappop(heap), heapq.heappop(heap)
            high = self._within_depth(high)
            joined = Sql(
                f"({high.text}) {operator} ({low.text})",
                [*high.values, *low.values],
                max(high.depth, low.depth) + 1,
            )
            heapq.heappush(heap, (joined.depth, next(order), joined))
        return heap[0][2]

    def _within_depth(self, condition: Sql) -> Sql:
        limit = self._dialect.max_depth
        if limit is None or condition.depth < limit:
            return condition
        self.parts.append(condition)
        return Sql(f"part_{len(self.parts)}")
