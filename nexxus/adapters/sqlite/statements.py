"""Pieces of SQL for many rows at once: one statement costs one step, see `sqlite_engine`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

T = TypeVar("T")

MAX_VARIABLES: Final = 32_000
"""SQLite's own limit is 32,766 in each statement."""

MAX_ROWS: Final = 256


def chunks(rows: Sequence[T], width: int) -> Iterator[Sequence[T]]:
    """Parts of `rows` to put into one statement each, `width` variables per row.

    Their sizes are powers of two, so that few different statements are ever prepared.
    """
    start = 0
    largest = max(1, min(MAX_ROWS, MAX_VARIABLES // width))
    while start < len(rows):
        size = 1 << (min(largest, len(rows) - start).bit_length() - 1)
        yield rows[start : start + size]
        start += size


def values_of(count: int, width: int) -> str:
    """``VALUES`` with `count` rows of `width` variables."""
    row = f"({', '.join('?' * width)})"
    return f"VALUES {', '.join([row] * count)}"


def flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """All values of all rows."""
    return [value for row in rows for value in row]
