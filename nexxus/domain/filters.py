"""FilterQuery: the tree that a filter becomes, whatever its spelling (contract §4).

A normalised tree has six kinds of node. Every other operator is one of them in disguise:
``ne`` is ``Not(Compare(eq))``, ``nin`` is ``Not(In)``, ``exists`` is ``Not(Missing)``, a
comparison with ``null`` is `Missing`. Logic is two-valued: a comparison with a missing value
is false, so its `Not` is true.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

Scalar: TypeAlias = str | int | float | bool


class Op(StrEnum):
    """How `Compare` compares."""

    EQ = "eq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    CONTAINS = "contains"


class Compare(msgspec.Struct, frozen=True):
    """The value at `path` is there and compares so with `value`.

    For `Op.CONTAINS` the value at `path` is an array of which one element equals `value`.
    """

    path: str
    op: Op
    value: Scalar


class In(msgspec.Struct, frozen=True):
    """The value at `path` is there and equals one of `values` (two or more, sorted, distinct)."""

    path: str
    values: tuple[Scalar, ...]


class Missing(msgspec.Struct, frozen=True):
    """The value at `path` is absent, ``null`` or an empty array."""

    path: str


class And(msgspec.Struct, frozen=True):
    """Every part holds; with no parts, true."""

    parts: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True):
    """One part holds; with no parts, false."""

    parts: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True):
    """`part` does not hold."""

    part: Filter


Filter: TypeAlias = Compare | In | Missing | And | Or | Not

EVERYTHING: Final = And(())
NOTHING: Final = Or(())
