"""Pieces of SQL for many rows at once: one statement costs one step, see `sqlite_engine`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

MAX_VARIABLES: Final = 32_000
"""SQLite's own limit is 32,766 in each statement."""

MAX_ROWS: Final = 256


class Chunk:
    """Some rows for one statement.

    They are filled up with rows of NULL to a power of two (`count`), so that few different
    statements are ever prepared; the statement has to skip rows that begin with NULL.
    """

    def __init__(self, rows: Sequence[Sequence[Any]], width: int) -> None:
        self.rows = rows
        self.count = 1 << (len(rows) - 1).bit_length()
        self.values = [value for row in rows for value in row]
        self.values += [None] * (width * (self.count - len(rows)))


def chunks(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Chunk]:
    """All of `rows`, of `width` values each, in as few statements as may be."""
    largest = MAX_ROWS
    while largest * width > MAX_VARIABLES:
        largest //= 2
    for start in range(0, len(rows), largest):
        yield Chunk(rows[start : start + largest], width)


def values_of(count: int, width: int) -> str:
    """``VALUES`` with `count` rows of `width` variables."""
    row = f"({', '.join('?' * width)})"
    return f"VALUES {', '.join([row] * count)}"
