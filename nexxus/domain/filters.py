"""FilterQuery: the normalised tree of a filter, the same for all its spellings.

A tree has six kinds of node. The other operators are expressed with them: ``ne`` is
``Not(Compare(eq))``, ``nin`` is ``Not(In)``, ``exists`` is ``Not(Missing)``, and a comparison with
``null`` is `Missing`. Logic is two-valued: a comparison with a missing value is false, so its `Not`
is true.

Trees are built with `conjoin`, `disjoin` and `negate`, which keep them normalised:

- `Not` contains only a `Compare`, an `In` or a `Missing`;
- an `And` or `Or` has two or more parts (except `EVERYTHING` and `NOTHING`), sorted and distinct,
  none of its own kind;
- equalities and `Missing` on the same path are merged: ``a = 1 or a = 2`` is one `In`,
  ``a = 1 and a = 2`` is `NOTHING`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

Scalar: TypeAlias = str | int | float | bool


class Op(StrEnum):
    """The operator of a `Compare`."""

    EQ = "eq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    CONTAINS = "contains"


# There may be a million trees, and they have no cycles: the garbage collector can skip them.
class Compare(msgspec.Struct, frozen=True, gc=False):
    """The value at `path` exists, and comparing it with `value` by `op` is true.

    For `Op.CONTAINS`, the value at `path` is an array with an element that equals `value`. A whole
    number within ±2^53 is an int, whatever the field's type.
    """

    path: str
    op: Op
    value: Scalar


class In(msgspec.Struct, frozen=True, gc=False):
    """The value at `path` exists and equals one of `values` (two or more, sorted, distinct)."""

    path: str
    values: tuple[Scalar, ...]


class Missing(msgspec.Struct, frozen=True, gc=False):
    """The value at `path` is absent, ``null`` or an empty array."""

    path: str


class And(msgspec.Struct, frozen=True, gc=False):
    """All parts hold; true without parts."""

    parts: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True, gc=False):
    """At least one part holds; false without parts."""

    parts: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True, gc=False):
    """`part` does not hold."""

    part: Filter


Filter: TypeAlias = Compare | In | Missing | And | Or | Not

EVERYTHING: Final = And(())
NOTHING: Final = Or(())


def equals_one_of(path: str, values: Iterable[Scalar]) -> Filter:
    """Return the filter that the value at `path` equals one of `values` (any number of them)."""
    distinct = frozenset(values)
    if not distinct:
        return NOTHING
    if len(distinct) == 1:
        return Compare(path, Op.EQ, next(iter(distinct)))
    ordered: list[Any] = list(distinct)  # values of one path have one kind, so they can be sorted
    return In(path, tuple(sorted(ordered)))


def conjoin(*filters: Filter) -> Filter:
    """Return the normalised filter that holds when all of the normalised `filters` hold."""
    return filters[0] if len(filters) == 1 else _joined(And, filters)


def disjoin(*filters: Filter) -> Filter:
    """Return the normalised filter that holds when one of the normalised `filters` holds."""
    return filters[0] if len(filters) == 1 else _joined(Or, filters)


def negate(filter: Filter) -> Filter:
    """Return the negation of a normalised filter, normalised by de Morgan's laws."""
    match filter:
        case Not(part):
            return part
        case And(parts):
            return Or(_sorted(map(negate, parts)))
        case Or(parts):
            return And(_sorted(map(negate, parts)))
        case _:
            return Not(filter)


def to_document(filter: Filter) -> dict[str, Any]:
    """Return the canonical FilterQuery document; parsing it returns an equal filter."""
    match filter:
        case Compare(path, op, value):
            return {path: {op.value: value}}
        case In(path, values):
            return {path: {"in": list(values)}}
        case Missing(path):
            return {path: {"exists": False}}
        case Not(part):
            return _document_of_not(part)
        case And(parts):
            return {"$and": [to_document(part) for part in parts]} if parts else {}
        case Or(parts):
            return {"$or": [to_document(part) for part in parts]}


def _document_of_not(part: Filter) -> dict[str, Any]:
    match part:
        case Compare(path, Op.EQ, value):
            return {path: {"ne": value}}
        case In(path, values):
            return {path: {"nin": list(values)}}
        case Missing(path):
            return {path: {"exists": True}}
        case _:
            return {"$not": to_document(part)}


def filter_id(filter: Filter) -> str:
    """Return the 16 hex digits that identify a normalised filter in a channel id."""
    # ASCII escapes give an id even to strings that UTF-8 cannot encode (lone surrogates).
    canonical = json.dumps(to_document(filter), separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


def _joined(kind: type[And] | type[Or], filters: Iterable[Filter]) -> Filter:
    # A filter of 256 conditions may have 262,144 values and 64 levels, and this runs at each level.
    # So a part's own parts are read only for sorting, and an `In` only if it shares its path.
    parts: list[Filter] = []
    equalities: dict[str, list[Filter]] = {}
    for part in _flattened(kind, filters):
        path = _path_of_equality(part)
        if path is None:
            parts.append(part)
        else:
            equalities.setdefault(path, []).append(part)
    for path, same_path in equalities.items():
        parts += same_path if len(same_path) == 1 else _merged(kind, path, same_path)
    absorbing = EVERYTHING if kind is Or else NOTHING
    if absorbing in parts or _has_opposites(parts):
        return absorbing
    ordered = _sorted(parts)
    distinct = tuple(p for i, p in enumerate(ordered) if i == 0 or p != ordered[i - 1])
    return distinct[0] if len(distinct) == 1 else kind(distinct)


def _flattened(kind: type[And] | type[Or], filters: Iterable[Filter]) -> Iterable[Filter]:
    for part in filters:
        if isinstance(part, kind):
            yield from part.parts
        else:
            yield part


def _path_of_equality(part: Filter) -> str | None:
    """Return the part's path if the part describes a set of values there, otherwise None."""
    condition = part.part if isinstance(part, Not) else part
    match condition:
        case Compare(path, Op.EQ) | In(path) | Missing(path):
            return path
        case _:
            return None


def _has_opposites(parts: Sequence[Filter]) -> bool:
    compared = {part for part in parts if isinstance(part, Compare)}
    return any(
        isinstance(part, Not) and isinstance(part.part, Compare) and part.part in compared
        for part in parts
    )


def _merged(kind: type[And] | type[Or], path: str, parts: Iterable[Filter]) -> list[Filter]:
    """Return the fewest parts that are equivalent to `parts`, which all concern `path`."""
    if kind is Or:
        return _union(map(_values_of, parts)).as_parts(path)
    opposite = _union(_values_of(negate(part)) for part in parts)
    return [negate(part) for part in opposite.as_parts(path)]


class _Values(NamedTuple):
    """A set of values allowed at a path: scalars, and possibly the missing value.

    If `all_but` is true, `values` are the excluded scalars. Filters that describe such sets are
    closed under union: those that exclude scalars include the missing value, except ``exists``,
    which excludes only the missing value.
    """

    values: frozenset[Scalar]
    all_but: bool
    missing: bool

    def as_parts(self, path: str) -> list[Filter]:
        """Return the parts of an `Or` that describe the set."""
        if self.all_but:
            return [negate(equals_one_of(path, self.values) if self.missing else Missing(path))]
        parts: list[Filter] = [equals_one_of(path, self.values)] if self.values else []
        return [*parts, Missing(path)] if self.missing else parts


def _union(sets: Iterable[_Values]) -> _Values:
    known = list(sets)
    included = frozenset[Scalar]().union(*(one.values for one in known if not one.all_but))
    excluded = [one.values for one in known if one.all_but]
    missing = any(one.missing for one in known)
    if not excluded:
        return _Values(included, False, missing)
    return _Values(frozenset.intersection(*excluded) - included, True, missing)


def _values_of(part: Filter) -> _Values:
    match part:
        case Not(condition):
            opposite = _values_of(condition)
            return _Values(opposite.values, not opposite.all_but, not opposite.missing)
        case Compare(value=value):
            return _Values(frozenset([value]), all_but=False, missing=False)
        case In(values=values):
            return _Values(frozenset(values), all_but=False, missing=False)
        case _:
            return _Values(frozenset(), all_but=False, missing=True)


def _sorted(parts: Iterable[Filter]) -> tuple[Filter, ...]:
    return tuple(sorted(parts, key=_order_of))


def _order_of(filter: Filter) -> tuple[Any, ...]:
    """Return a sort key that orders different filters the same way everywhere.

    Values at one path have one kind, so they can be compared.
    """
    match filter:
        case Compare(path, op, value):
            return 0, path, op.value, value
        case In(path, values):
            return 1, path, values
        case Missing(path):
            return 2, path
        case Not(part):
            return 3, _order_of(part)
        case And(parts):
            return 4, tuple(map(_order_of, parts))
        case Or(parts):
            return 5, tuple(map(_order_of, parts))
