"""Two ways for PostgreSQL to hold what is filtered by, each with its dialect.

They prove that `nexxus.toolkit.sql` fits PostgreSQL: with a typed column for each path, as an
adapter would do it for speed, and with a single ``jsonb`` column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nexxus.domain.filters import Scalar
from nexxus.domain.objects import Document, value_at
from nexxus.domain.schema import NUMERIC, Field, Kind, ModelType
from nexxus.toolkit.sql import PARAMETER, Columns, Dialect, Sql

_TYPES: Final = {Kind.STRING: "text", Kind.BOOLEAN: "boolean"}


def element_type(field: Field) -> str:
    """The type of a path's values, or of the elements of an array."""
    kind = field.element or field.kind
    return "double precision" if kind in NUMERIC else _TYPES[kind]


def column_type(field: Field) -> str:
    """The type of a path's own column."""
    of = element_type(field)
    if field.kind is Kind.ARRAY:
        return f"{of}[]"
    return f'{of} COLLATE "C"' if of == "text" else of


def stored(value: Any) -> Any:
    """A value as PostgreSQL can store it: its text cannot hold U+0000.

    Escaped strings are equal and in order as the strings themselves are.
    """
    if isinstance(value, str):
        return value.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list):
        return [stored(item) for item in value] or None
    return None


class _Postgres(Dialect):
    """What both have in common."""

    def __init__(self, table: str, model: ModelType) -> None:
        self._table = table
        self.model = model

    @property
    def table(self) -> str:
        return self._table

    def placeholder(self, number: int) -> str:
        return f"${number}"

    def bound(self, path: str, value: Scalar) -> Any:
        return stored(value)

    def is_among(self, path: str, values: Sequence[Scalar]) -> Sql:
        bound = [self.bound(path, value) for value in values]
        return Sql(f"{self.operand(path)} = ANY({PARAMETER})", (bound,))


class TypedColumns(_Postgres):
    """A column for each path, of its type; arrays are arrays, and empty ones NULL."""

    def __init__(self, table: str, model: ModelType, columns: Columns) -> None:
        super().__init__(table, model)
        self._columns = columns

    def operand(self, path: str) -> str:
        return "id" if path == "id" else self._columns.ready(path).name

    def contains(self, path: str, value: Scalar) -> Sql:
        # An index of the kind GIN answers this.
        of = element_type(self.model.filterable[path])
        return Sql(
            f"{self.operand(path)} @> ARRAY[{PARAMETER}]::{of}[]", (self.bound(path, value),)
        )


class JsonColumn(_Postgres):
    """One ``jsonb`` column, ``search``, with the filterable values of the document."""

    def operand(self, path: str) -> str:
        if path == "id":
            return "id"
        of = element_type(self.model.filterable[path])
        text = f"({_way(path, '->>')})"
        return f'({text} COLLATE "C")' if of == "text" else f"{text}::{of}"

    def contains(self, path: str, value: Scalar) -> Sql:
        of = element_type(self.model.filterable[path])
        return Sql(f"{_way(path, '->')} @> to_jsonb({PARAMETER}::{of})", (self.bound(path, value),))

    def is_missing(self, path: str) -> Sql:
        if self.model.filterable[path].kind is Kind.ARRAY:
            return Sql(f"coalesce({_way(path, '->')}, '[]') IN ('[]', 'null')")
        return super().is_missing(path)


def search_document(document: Document, model: ModelType) -> dict[str, Any]:
    """The content of the column ``search``."""
    found: dict[str, Any] = {}
    for path in model.filterable:
        *way, last = path.split(".")
        node = found
        for part in way:
            node = node.setdefault(part, {})
        node[last] = stored(value_at(document, path))
    return found


def _way(path: str, last: str) -> str:
    """The operators that lead to a path. The names of fields need no escaping."""
    *way, name = path.split(".")
    return "".join(["search", *(f"->'{part}'" for part in way), f"{last}'{name}'"])
