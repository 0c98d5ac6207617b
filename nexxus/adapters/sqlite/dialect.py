"""SQLite's dialect: conditions on columns without a type, each value in a storage class of its own.

A set of values is one parameter whatever its size, so that neither SQLite's limit of variables
nor its cache of statements suffers from large ones.

SQLite's parser takes some thirty nested parentheses for granted and gives up at a hundred: hence
`max_depth`. Its planner flattens the common table expressions again that a deep filter becomes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from nexxus.adapters.sqlite.tables import Table
from nexxus.adapters.sqlite.values import ColumnValue, column_value
from nexxus.domain.filters import Op, Scalar
from nexxus.toolkit.sql import PARAMETER, Dialect, Sql


class SqliteDialect(Dialect):
    """How the objects of one table are asked for."""

    max_depth: ClassVar[int | None] = 16
    keeps_order_of_unions: ClassVar[bool] = True

    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def table(self) -> str:
        return self._table.objects

    def operand(self, path: str) -> str:
        return "id" if path == "id" else self._table.columns.ready(path).name

    def bound(self, path: str, value: Scalar) -> ColumnValue:  # noqa: ARG002
        return column_value(value)

    def compares(self, path: str, op: Op, value: Scalar) -> Sql:
        # Only numbers have an order, and every number comes before every string.
        compared = super().compares(path, op, value)
        return Sql(f"{compared.text} AND {self.operand(path)} < ''", compared.values)

    def contains(self, path: str, value: Scalar) -> Sql:
        column = self._table.columns.ready(path)
        return Sql(
            f"number IN (SELECT object FROM {self._table.elements} "
            f'WHERE "column" = {PARAMETER} AND value = {PARAMETER})',
            (column.number, column_value(value)),
        )

    def is_among(self, path: str, values: Sequence[Scalar]) -> Sql:
        operand = self.operand(path)
        stored = [column_value(value) for value in values]
        numbers = [value for value in stored if isinstance(value, int)]
        strings = [value.encode() for value in stored if isinstance(value, str)]
        booleans = [value for value in stored if isinstance(value, bytes)]
        either = [Sql(f"{operand} = {PARAMETER}", (value,)) for value in booleans]
        if numbers:
            either.append(_is_one_of_numbers(operand, numbers))
        if strings:
            either.append(_is_one_of_strings(operand, strings))
        return Sql(
            " OR ".join(condition.text for condition in either),
            [value for condition in either for value in condition.values],
        )

    def placeholder(self, number: int) -> str:  # noqa: ARG002
        return "?"

    def statement(self, sql: Sql) -> tuple[str, list[Any]]:
        return sql.text.replace(PARAMETER, "?"), list(sql.values)


def _is_one_of_numbers(operand: str, numbers: Sequence[int]) -> Sql:
    return Sql(
        f"{operand} IN (SELECT value FROM json_each({PARAMETER}))", (msgspec.json.encode(numbers),)
    )


def _is_one_of_strings(operand: str, strings: Sequence[bytes]) -> Sql:
    # SQLite's JSON ends strings at U+0000: they travel as one blob and where to cut it.
    starts = itertools.accumulate((len(string) for string in strings), initial=1)
    cuts = [[start, len(string)] for start, string in zip(starts, strings, strict=False)]
    return Sql(
        f"{operand} IN (SELECT CAST(substr({PARAMETER}, json_extract(value, '$[0]'), "
        f"json_extract(value, '$[1]')) AS TEXT) FROM json_each({PARAMETER}))",
        (b"".join(strings), msgspec.json.encode(cuts)),
    )
