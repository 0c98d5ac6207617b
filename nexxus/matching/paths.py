"""Paths: entries with an anchor at the same path, looked up by the value there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nexxus.domain.filter_matcher import SCALARS, compile_reader, is_missing
from nexxus.domain.filters import Compare, In, Op, Scalar
from nexxus.domain.objects import Document
from nexxus.matching.indexed_routes import (
    Anchor,
    Bucket,
    IndexedRoute,
    Interval,
    collect,
    discard,
    load_of,
    put,
)
from nexxus.matching.ranges import IntervalGrid, Thresholds, share

_NUMBERS: Final = frozenset({int, float})
_UPWARD: Final = frozenset({Op.GT, Op.GTE})
_HALF: Final = 0.5


class PathIndex:
    """Entries indexed by their condition on the value at one path.

    Equalities, memberships and ``contains`` share a table from value to entries, in which None is
    the missing value. (A path holds either arrays or scalars, so the two do not mix.)
    """

    def __init__(self, path: str) -> None:
        self._read = compile_reader(path)
        self._equal: dict[Scalar | None, Bucket] = {}
        self._equalities = 0
        self._intervals = IntervalGrid()
        self._above = Thresholds(upward=True)
        self._below = Thresholds(upward=False)
        self._has_ranges = False

    def __bool__(self) -> bool:
        return bool(self._equal) or self._has_ranges

    def add(self, anchor: Anchor, entry: IndexedRoute) -> None:
        """Add `entry`, to be found for objects that meet `anchor`."""
        match anchor:
            case Interval(_, low, high):
                self._intervals.add(low, high, entry)
            case Compare(_, Op.GT | Op.GTE | Op.LT | Op.LTE):
                self._thresholds(anchor).add(_number(anchor), entry)
            case _:
                for key in _keys_of(anchor):
                    put(self._equal, key, entry)
                    self._equalities += 1
        self._note_ranges()

    def remove(self, anchor: Anchor, entry: IndexedRoute) -> None:
        """Undo an `add` with the same arguments."""
        match anchor:
            case Interval(_, low, high):
                self._intervals.remove(low, high, entry)
            case Compare(_, Op.GT | Op.GTE | Op.LT | Op.LTE):
                self._thresholds(anchor).remove(_number(anchor), entry)
            case _:
                for key in _keys_of(anchor):
                    discard(self._equal, key, entry)
                    self._equalities -= 1
        self._note_ranges()

    def share(self, anchor: Anchor) -> float:
        """Estimate the probability that an event finds an entry with this anchor."""
        match anchor:
            case Interval(_, low, high):
                return self._intervals.share(low, high)
            case Compare(_, Op.GT | Op.GTE | Op.LT | Op.LTE):
                return _HALF
            case _:
                total = self._equalities
                return sum(share(load_of(self._equal, key), total) for key in _keys_of(anchor))

    def collect(self, document: Document, found: set[IndexedRoute]) -> None:
        """Add to `found` the entries whose anchor the object meets, and some with near ranges."""
        value = self._read(document)
        kind = value.__class__
        if kind in SCALARS:
            collect(self._equal.get(value), found)
            if self._has_ranges and kind in _NUMBERS:
                self._intervals.collect(value, found)
                self._above.collect(value, found)
                self._below.collect(value, found)
        elif is_missing(value):
            collect(self._equal.get(None), found)
        elif kind is list:
            scalars: list[Any] = [item for item in value if item.__class__ in SCALARS]
            for element in scalars:
                collect(self._equal.get(element), found)

    def _thresholds(self, anchor: Compare) -> Thresholds:
        return self._above if anchor.op in _UPWARD else self._below

    def _note_ranges(self) -> None:
        self._has_ranges = bool(self._intervals or self._above or self._below)


def _number(anchor: Compare) -> int | float:
    assert not isinstance(anchor.value, str)
    return anchor.value


def _keys_of(anchor: Anchor) -> Sequence[Scalar | None]:
    match anchor:
        case Compare(_, _, value):
            return (value,)
        case In(_, values):
            return values
        case _:
            return (None,)
