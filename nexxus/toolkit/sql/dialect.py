"""Dialects: how a database spells conditions, orders and parameters.

A `Dialect` knows the table that it is for, and finds each path in it. So a path may be a typed
column, an expression over a JSON document, or rows of another table; the compilers do not know.
Identifiers and literals are the dialect's own; whatever comes from a client is a parameter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple

from nexxus.domain.filters import Op, Scalar

PARAMETER: Final = "\0"
"""Stands in `Sql.text` for each parameter: a character that no SQL contains."""

OPERATORS: Final = {Op.EQ: "=", Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}


class Sql(NamedTuple):
    """A piece of SQL, the values of its parameters in their order, and how deep it nests."""

    text: str
    values: Sequence[Any] = ()
    depth: int = 1


class Dialect(ABC):
    """How one table is asked for its objects.

    A condition is SQL for a truth value that may be put into parentheses, ``AND`` and ``OR``; an
    unknown one (NULL) counts as false. `nexxus.domain.filters` says what each condition means.

    The defaults are standard SQL, as PostgreSQL and SQLite understand it. A subclass gives
    `table`, `operand`, `bound`, `is_among`, `contains` and `placeholder`.
    """

    always: ClassVar[str] = "TRUE"
    never: ClassVar[str] = "FALSE"

    max_depth: ClassVar[int | None] = None
    """How deep a condition may nest within one expression, where the parser has a limit. What is
    deeper becomes a column of its own in a chain of common table expressions."""

    keeps_order_of_unions: ClassVar[bool] = False
    """Whether ``UNION ALL`` is documented or known to return its parts one after the other, each
    in its order. Otherwise a page that has two parts is sorted once more."""

    @property
    @abstractmethod
    def table(self) -> str:
        """The name of the table, as SQL."""

    @abstractmethod
    def operand(self, path: str) -> str:
        """Return SQL for the value at `path`, to be compared and sorted by.

        It is NULL for a missing value. Strings must compare by code points and numbers without
        rounding. Raises `ServiceUnavailable` if the path was not prepared yet.
        """

    @abstractmethod
    def bound(self, path: str, value: Scalar) -> Any:
        """Return what is bound as a parameter for `value`, to be compared with the operand."""

    @abstractmethod
    def is_among(self, path: str, values: Sequence[Scalar]) -> Sql:
        """Return the condition that the value at `path` equals one of `values`, at least one.

        There may be a thousand values, and 256 such conditions in a filter: pass them as one
        parameter where the database has a limit of parameters.
        """

    @abstractmethod
    def contains(self, path: str, value: Scalar) -> Sql:
        """Return the condition that one element of the array at `path` equals `value`."""

    @abstractmethod
    def placeholder(self, number: int) -> str:
        """Return what stands in a statement for its parameter of that number, from 1."""

    def equals(self, path: str, value: Scalar) -> Sql:
        """Return the condition that the value at `path` equals `value`."""
        return Sql(f"{self.operand(path)} = {PARAMETER}", (self.bound(path, value),))

    def compares(self, path: str, op: Op, value: Scalar) -> Sql:
        """Return the condition that the number at `path` is greater or less than `value`.

        Where a value of another type may be at `path`, the condition must exclude it.
        """
        return Sql(f"{self.operand(path)} {OPERATORS[op]} {PARAMETER}", (self.bound(path, value),))

    def is_missing(self, path: str) -> Sql:
        """Return the condition that there is no value at `path`, or an empty array."""
        return Sql(f"{self.operand(path)} IS NULL")

    def negates(self, condition: Sql) -> Sql:
        """Return the condition that `condition` does not hold: it is false or unknown."""
        return Sql(f"({condition.text}) IS NOT TRUE", condition.values, condition.depth + 1)

    def order(self, operand: str, *, descending: bool, may_be_missing: bool) -> str:
        """Return a term of ``ORDER BY`` in which missing values come last."""
        term = f"{operand} {'DESC' if descending else 'ASC'}"
        return f"{term} NULLS LAST" if may_be_missing else term

    def statement(self, sql: Sql) -> tuple[str, list[Any]]:
        """Return a complete statement as the database takes it, and its parameters."""
        first, *rest = sql.text.split(PARAMETER)
        pieces = [f"{self.placeholder(number)}{piece}" for number, piece in enumerate(rest, 1)]
        return "".join([first, *pieces]), list(sql.values)
