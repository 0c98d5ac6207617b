"""Columns for filterable paths, and their life while the schema changes.

Columns are numbered, and a table of the adapter's says which is which: no name of a model or a
field becomes an SQL identifier, so that none has to be escaped and none can clash with another.

A column's life:

1. *filling*: every write fills it, and the objects that were there before are being filled in;
2. *ready*: it is complete and indexed, so queries may use it;
3. *retiring*: no path needs it any more; it is no longer written;
4. *unused*: it waits to be given to another path of the same type.

`plan_columns` decides which columns a model needs. The adapter carries the plan out, in one
transaction; fills the *filling* columns, some objects at a time, while writes go on; and declares
them *ready*, the *retiring* ones *unused*, in another transaction. A crash in between leaves
states from which the next preparation goes on. Where several nodes write to one database, a column
may be declared *ready* only when no node writes any more without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from nexxus.domain.filter_matcher import Reader, compile_reader
from nexxus.errors import ServiceUnavailable


class ColumnState(StrEnum):
    """What may be done with a column; see above."""

    FILLING = "filling"
    READY = "ready"
    RETIRING = "retiring"
    UNUSED = "unused"


class Column:
    """The column of a filterable path. `type` is one of the adapter's own types of columns."""

    def __init__(self, number: int, path: str, type: str, state: ColumnState) -> None:
        self.number = number
        self.path = path
        self.type = type
        self.state = state
        self.name = f"c{number}"

    @cached_property
    def read(self) -> Reader:
        """Reads the path's value from a document."""
        return compile_reader(self.path)


class Columns:
    """The columns of one model's table at a moment; never changed, only replaced.

    `written` are those that a write fills, `filling` those of them that are not complete yet.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        by_state: dict[ColumnState, list[Column]] = {state: [] for state in ColumnState}
        for column in columns:
            by_state[column.state].append(column)
        self.filling = tuple(by_state[ColumnState.FILLING])
        self.retiring = tuple(by_state[ColumnState.RETIRING])
        self.unused = tuple(by_state[ColumnState.UNUSED])
        self.written = (*by_state[ColumnState.READY], *self.filling)
        self._ready = {column.path: column for column in by_state[ColumnState.READY]}

    def ready(self, path: str) -> Column:
        """Return the column to filter and sort `path` by.

        Raises `ServiceUnavailable` if there is none yet.
        """
        found = self._ready.get(path)
        if found is None:
            raise ServiceUnavailable(f"{path} cannot be filtered or sorted by yet; try again")
        return found


class ColumnPlan(NamedTuple):
    """What is to be done so that every wanted path has a column.

    First the state of each column in `retired` becomes *retiring*. Each column in `reused` is then
    given to a path, and a new one is added for each path in `added`, of the type given; all of
    these begin as *filling*.
    """

    retired: Sequence[Column]
    reused: Sequence[tuple[Column, str]]
    added: Mapping[str, str]


def plan_columns(columns: Columns, wanted: Mapping[str, str]) -> ColumnPlan:
    """Decide how each path in `wanted` gets a column, of the type given there.

    A column is kept if its path is wanted with its type; a path whose type changes gets another.
    """
    kept = {c.path for c in columns.written if wanted.get(c.path) == c.type}
    unused: dict[str, list[Column]] = {}
    for column in columns.unused:
        unused.setdefault(column.type, []).append(column)
    reused, added = list[tuple[Column, str]](), dict[str, str]()
    for path, wanted_type in wanted.items():
        if path in kept:
            continue
        if there := unused.get(wanted_type):
            reused.append((there.pop(), path))
        else:
            added[path] = wanted_type
    return ColumnPlan([c for c in columns.written if c.path not in kept], reused, added)
