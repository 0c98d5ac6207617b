"""Values: from what a client sends to what is stored.

`coerce` validates a value and returns its stored form: a date as integer seconds, ``1.0`` in an int
field as ``1``, an int in a float field as a float. Every error names the path and the rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from nexxus.domain.schema import Field, Kind
from nexxus.domain.spelling import hint
from nexxus.errors import InvalidParameters

MAX_INT: Final = 2**53
LATEST_DATE: Final = 253_402_300_799
"""The last second of the year 9999."""

_ISO_8601: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?"
    r"(Z|z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


def coerce(value: Any, field: Field, path: str) -> Any:
    """Return the stored form of `value`. Raises `InvalidParameters`, which names `path`."""
    if value is None:
        if field.nullable:
            return None
        raise _misfit(path, "is not nullable", "null")
    if field.kind is Kind.OBJECT:
        assert field.properties is not None
        return coerce_fields(value, field.properties, path)
    if field.kind is Kind.ARRAY:
        if not isinstance(value, list):
            raise _misfit(path, "expected an array", value)
        return [coerce_element(item, field, f"{path}[{i}]") for i, item in enumerate(value)]
    return coerce_primitive(value, field.kind, path)


def coerce_element(value: Any, field: Field, path: str) -> Any:
    """Return the stored form of one element of the array `field`."""
    assert field.element is not None
    if field.element is Kind.OBJECT:
        assert field.properties is not None
        return coerce_fields(value, field.properties, path)
    return coerce_primitive(value, field.element, path)


def coerce_fields(value: Any, fields: Mapping[str, Field], path: str) -> dict[str, Any]:
    """Return the stored form of an object with the declared `fields`.

    `path` is "" for a whole object. Raises `InvalidParameters` for an undeclared field or a missing
    required one.
    """
    if not isinstance(value, dict):
        raise _misfit(path, "expected an object", value)
    prefix = f"{path}." if path else ""
    stored = {}
    for name, item in value.items():
        field = fields.get(name)
        if field is None:
            raise undeclared(f"{prefix}{name}", [f"{prefix}{each}" for each in fields])
        stored[name] = coerce(item, field, f"{prefix}{name}")
    for name, field in fields.items():
        if field.required and name not in stored:
            raise InvalidParameters(
                f"{prefix}{name} is required", {"field": f"{prefix}{name}", "rule": "required"}
            )
    return stored


def coerce_primitive(value: Any, kind: Kind, path: str) -> Any:
    """Return the stored form of a value of a primitive kind."""
    match kind:
        case Kind.STRING:
            if isinstance(value, str):
                return value
            raise _misfit(path, "expected a string", value)
        case Kind.BOOLEAN:
            if isinstance(value, bool):
                return value
            raise _misfit(path, "expected true or false", value)
        case Kind.INT:
            return _integer(value, path)
        case Kind.FLOAT:
            return _float(value, path)
        case Kind.DATE:
            return parse_date(value, path)
        case _:  # pragma: no cover - the callers have handled arrays and objects
            raise AssertionError(kind)


def parse_date(value: Any, path: str) -> int:
    """Return the UNIX seconds of a number or an ISO 8601 string; fractions are truncated."""
    if isinstance(value, str):
        value = _seconds_of_iso_8601(value, path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _misfit(path, "expected UNIX seconds or an ISO 8601 date", value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _misfit(path, "expected a finite number of seconds", value)
        value = math.trunc(value)
    if value > LATEST_DATE:
        rule = "expected UNIX seconds up to the year 9999; are these milliseconds?"
        raise _misfit(path, rule, value)
    return _within_range(value, path)


def undeclared(path: str, known: Iterable[str]) -> InvalidParameters:
    """Return the error for a field that the schema does not declare; `known` are the others."""
    return InvalidParameters(
        f"{path[:256]} is not a field of this model{hint(path, known)}",
        {"field": path, "rule": "declared"},
    )


def _integer(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _misfit(path, "expected an integer", value)
    if isinstance(value, float):
        if not value.is_integer():
            raise _misfit(path, "expected an integer", value)
        value = int(value)
    return _within_range(value, path)


def _float(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _misfit(path, "expected a number", value)
    try:
        number = float(value)
    except OverflowError:
        raise _misfit(path, "expected a number in the range of a double", value) from None
    if not math.isfinite(number):
        raise _misfit(path, "expected a finite number", value)
    return number


def _within_range(value: int, path: str) -> int:
    if not -MAX_INT <= value <= MAX_INT:
        raise _misfit(path, "expected an integer within ±2^53", value)
    return value


def _seconds_of_iso_8601(text: str, path: str) -> int:
    found = _ISO_8601.fullmatch(text)
    if found is None:
        raise _misfit(path, "expected UNIX seconds or an ISO 8601 date", text)
    year, month, day, hour, minute, second, zone = found.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            tzinfo=UTC,
        )  # fmt: skip
        offset = _offset_seconds(zone, path, text)
    except ValueError:
        raise _misfit(path, "expected a valid calendar date", text) from None
    return (moment - _EPOCH).days * 86_400 + (moment - _EPOCH).seconds - offset


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _offset_seconds(zone: str | None, path: str, text: str) -> int:
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise _misfit(path, "expected a valid time zone offset", text)
    seconds = hours * 3600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


def _misfit(path: str, rule: str, value: Any) -> InvalidParameters:
    shown = repr(value)
    if len(shown) > 60:
        shown = f"{shown[:57]}…"
    return InvalidParameters(
        f"{path or 'the body'}: {rule}, got {shown}", {"field": path, "rule": rule}
    )
