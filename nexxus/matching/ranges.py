"""Ranges: find the intervals and thresholds that a number meets without testing each of them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from typing import Final

from nexxus.matching.indexed_routes import Bucket, IndexedRoute, collect, discard, load_of, put

Number = int | float


class IntervalGrid:
    """Intervals in a hierarchy of grids, each with cells twice as wide as the one below.

    An interval is stored in the finest grid whose cells are wider than it, so in at most two cells.
    A number is looked up in one cell of every grid in use (a few dozen if the intervals' widths
    range from seconds to centuries).
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], Bucket] = {}
        self._levels: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._cells)

    def add(self, low: Number, high: Number, entry: IndexedRoute) -> None:
        """Add `entry`, to be found for numbers from `low` to `high`."""
        level = _level_of(low, high)
        for cell in _cells_of(low, high, level):
            put(self._cells, cell, entry)
            self._levels[level] = self._levels.get(level, 0) + 1

    def remove(self, low: Number, high: Number, entry: IndexedRoute) -> None:
        """Undo an `add` with the same arguments."""
        level = _level_of(low, high)
        for cell in _cells_of(low, high, level):
            discard(self._cells, cell, entry)
            self._levels[level] -= 1
            if not self._levels[level]:
                del self._levels[level]

    def share(self, low: Number, high: Number) -> float:
        """Estimate the probability that a number finds an entry with this interval."""
        level = _level_of(low, high)
        total = self._levels.get(level, 0)
        return sum(share(load_of(self._cells, cell), total) for cell in _cells_of(low, high, level))

    def collect(self, value: Number, found: set[IndexedRoute]) -> None:
        """Add to `found` every entry whose interval contains `value`, and some near ones."""
        for level in self._levels:
            try:
                cell = _cell_of(value, level)
            except OverflowError:  # no interval this narrow can be so far from zero
                continue
            collect(self._cells.get((level, cell)), found)


class Thresholds:
    """One-sided ranges, sorted by their bound.

    A typical number matches half of them, and each match must be collected anyway. Changing a
    sorted list costs about as much as copying it, so it is never the bottleneck.
    """

    def __init__(self, *, upward: bool) -> None:
        self._upward = upward
        self._buckets: dict[Number, Bucket] = {}
        self._bounds: list[Number] = []
        self._unsorted: list[Number] = []

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def add(self, bound: Number, entry: IndexedRoute) -> None:
        """Add `entry`, to be found for numbers from `bound` upward (or downward)."""
        if bound not in self._buckets:
            self._unsorted.append(bound)
        put(self._buckets, bound, entry)

    def remove(self, bound: Number, entry: IndexedRoute) -> None:
        """Undo an `add` with the same arguments."""
        discard(self._buckets, bound, entry)
        if bound not in self._buckets:
            self._settle()
            del self._bounds[bisect_left(self._bounds, bound)]

    def collect(self, value: Number, found: set[IndexedRoute]) -> None:
        """Add to `found` every entry whose range contains `value` or is bounded by it."""
        self._settle()
        if self._upward:
            met = self._bounds[: bisect_right(self._bounds, value)]
        else:
            met = self._bounds[bisect_left(self._bounds, value) :]
        for bound in met:
            collect(self._buckets[bound], found)

    def _settle(self) -> None:
        if len(self._unsorted) <= _FEW:
            for bound in self._unsorted:
                insort(self._bounds, bound)
        else:
            self._bounds += self._unsorted
            self._bounds.sort()
        self._unsorted.clear()


_FEW: Final = 32
"""Up to this many bounds are inserted one by one; more are added by sorting the list once."""

_PRIOR: Final = 8
"""The number of imaginary entries, each with its own value, that a path begins with."""


def share(load: int, total: int) -> float:
    """Estimate a value's probability in events from its share of entries (Laplace's rule)."""
    return (load + 1) / (total + _PRIOR)


def _level_of(low: Number, high: Number) -> int:
    """Return the exponent of the smallest power of two that is wider than the interval."""
    width = high - low
    return math.frexp(width)[1] if math.isfinite(width) else 1024


def _cells_of(low: Number, high: Number, level: int) -> list[tuple[int, int]]:
    return [(level, n) for n in range(_cell_of(low, level), _cell_of(high, level) + 1)]


def _cell_of(value: Number, level: int) -> int:
    # Scaling may round, but it never reverses the order of two numbers, which is all we need.
    return math.floor(math.ldexp(value, -level))
