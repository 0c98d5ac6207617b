"""Converts a document's values to column values that compare exactly.

SQLite compares without surprises what is of one storage class, so each kind has its own:

- strings are TEXT, compared by code points;
- numbers are INTEGER: the bits of their double, put in order. A stored int is within ±2^53, so
  ``1`` and ``1.0`` are one number, nothing is rounded, and a set of them travels as JSON;
- booleans are BLOB of one byte, false before true;
- missing values are NULL. An array's column holds its length, or NULL when it is empty; its
  elements are in the model's table of elements.
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypeAlias

ColumnValue: TypeAlias = str | int | bytes | None

FALSE: Final = b"\x00"
TRUE: Final = b"\x01"

_pack_double = struct.Struct(">d").pack
_unpack_bits = struct.Struct(">q").unpack
_ALL_BUT_SIGN: Final = 0x7FFF_FFFF_FFFF_FFFF


def column_value(value: Any) -> ColumnValue:
    """What stands in a column for a document's value."""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int or kind is float:
        return ordinal(value)
    if kind is bool:
        return TRUE if value else FALSE
    if kind is list:
        return ordinal(len(value)) if value else None
    return None


def ordinal(number: float) -> int:
    """An integer for a number; any two compare as their numbers do."""
    # Adding zero makes -0.0 and 0.0 one. A negative double's bits grow as it shrinks.
    (bits,) = _unpack_bits(_pack_double(number + 0.0))
    return bits if bits >= 0 else bits ^ _ALL_BUT_SIGN  # type: ignore[no-any-return]
