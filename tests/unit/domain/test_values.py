"""Values: which are accepted for a field, and how they are stored."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nexxus.domain.schema import compile_model
from nexxus.domain.values import LATEST_DATE, coerce, coerce_fields, parse_date
from nexxus.errors import InvalidParameters
from nexxus.testing.strategies import date_form

contract = partial(pytest.mark.contract, "2. Applications and schemas")

NAN, INFINITY, LIMIT = float("nan"), float("inf"), 2**53
FIELDS = compile_model(
    "thing",
    {
        "string": {"type": "string"},
        "int": {"type": "int"},
        "float": {"type": "float"},
        "boolean": {"type": "boolean"},
        "date": {"type": "date"},
        "nullable": {"type": "int", "nullable": True},
        "ints": {"type": "array", "arrayType": "int"},
        "place": {
            "type": "object",
            "properties": {"lat": {"type": "float", "required": True}, "lon": {"type": "float"}},
        },
        "lines": {
            "type": "array",
            "arrayType": "object",
            "properties": {"n": {"type": "int", "required": True}},
        },
    },
).fields


@contract("values are validated")
@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("string", "", ""),
        ("string", "a\x00\U0010ffff", "a\x00\U0010ffff"),
        ("int", 1.0, 1),
        ("int", -0.0, 0),
        ("int", LIMIT, LIMIT),
        ("int", -LIMIT, -LIMIT),
        ("int", float(LIMIT), LIMIT),
        ("float", 1, 1.0),
        ("float", 5e-324, 5e-324),
        ("float", 10**300, 1e300),
        ("boolean", False, False),
        ("date", 0, 0),
        ("date", 1.9, 1),
        ("date", LATEST_DATE, LATEST_DATE),
        ("nullable", None, None),
        ("ints", [], []),
        ("ints", [1.0, 2], [1, 2]),
        ("place", {"lat": 1}, {"lat": 1.0}),
        ("lines", [{"n": 1.0}, {"n": 2}], [{"n": 1}, {"n": 2}]),
    ],
)
def test_a_value_has_one_stored_form(name: str, value: Any, stored: Any) -> None:
    coerced = coerce(value, FIELDS[name], name)

    assert repr(coerced) == repr(stored)  # 1, 1.0 and True are equal, but not the same


@contract("dates")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01", 60),
        ("1970-01-01 00:00:01", 1),
        ("1970-01-01t00:00:01z", 1),
        ("1970-01-01T00:00:01.999Z", 1),
        ("1970-01-01T00:00:01,5Z", 1),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00:00-0130", 5_400),
        ("1970-01-01T01:00:00+01", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("2024-02-29", 1_709_164_800),
        ("0001-01-01", -62_135_596_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ],
)
def test_a_date_is_utc_and_midnight_by_default(text: str, seconds: int) -> None:
    assert parse_date(text, "date") == seconds


@contract("dates")
@given(st.integers(-62_135_596_800, 253_402_214_399), st.randoms(use_true_random=False))
def test_all_spellings_of_a_moment_are_stored_as_its_seconds(seconds: int, random: Any) -> None:
    stored = parse_date(date_form(seconds, random), "date")

    assert stored == seconds
    assert type(stored) is int


@contract("values are validated")
@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("string", 1, "string"),
        ("string", None, "string"),
        ("string", ["a"], "string"),
        ("int", True, "int"),
        ("int", "1", "int"),
        ("int", 1.5, "int"),
        ("int", NAN, "int"),
        ("int", -INFINITY, "int"),
        ("int", LIMIT + 1, "int"),
        ("int", -LIMIT - 1, "int"),
        ("int", 1e300, "int"),
        ("float", False, "float"),
        ("float", "1.5", "float"),
        ("float", NAN, "float"),
        ("float", INFINITY, "float"),
        ("float", 10**400, "float"),
        ("boolean", 1, "boolean"),
        ("boolean", "true", "boolean"),
        ("date", True, "date"),
        ("date", NAN, "date"),
        ("date", INFINITY, "date"),
        ("date", LATEST_DATE + 1, "date"),
        ("date", 1_700_000_000_000, "date"),
        ("date", [], "date"),
        ("date", "", "date"),
        ("date", "yesterday", "date"),
        ("date", "٢٠٢٤-٠١-٠١", "date"),
        ("date", "1970-1-1", "date"),
        ("date", "1970-01-01\n", "date"),
        ("date", "1970-01-01Z", "date"),
        ("date", "2023-02-29", "date"),
        ("date", "1970-13-01", "date"),
        ("date", "1970-01-01T24:00", "date"),
        ("date", "1970-01-01T00:00:00+24:00", "date"),
        ("date", "1970-01-01T00:00:00+01:60", "date"),
        ("ints", None, "ints"),
        ("ints", 1, "ints"),
        ("ints", {"0": 1}, "ints"),
        ("ints", [1, None], "ints[1]"),
        ("ints", [1, [2]], "ints[1]"),
        ("place", None, "place"),
        ("place", [], "place"),
        ("place", {}, "place.lat"),
        ("place", {"lat": None}, "place.lat"),
        ("place", {"lat": 1, "alt": 1}, "place.alt"),
        ("lines", [{"n": 1}, {}], "lines[1].n"),
        ("lines", [{"n": 1}, 2], "lines[1]"),
        ("lines", [{"n": 1, "m": 1}], "lines[0].m"),
    ],
)
def test_anything_else_is_refused_naming_the_field_and_the_rule(
    name: str, value: Any, field: str
) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        coerce_fields({name: value}, FIELDS, "")

    assert refusal.value.message.startswith(field)
    assert refusal.value.details is not None
    assert refusal.value.details["field"] == field
    assert refusal.value.details["rule"]


def test_an_error_shows_only_the_beginning_of_a_long_value() -> None:
    with pytest.raises(InvalidParameters) as refusal:
        coerce("x" * 1_000_000, FIELDS["int"], "int")

    assert len(refusal.value.message) < 120


@given(st.floats() | st.integers())
@example(float(LIMIT + 2))
def test_a_stored_int_is_whole_in_range_and_equal_to_the_sent_value(value: float) -> None:
    try:
        stored = coerce(value, FIELDS["int"], "int")
    except InvalidParameters:
        assert not (-LIMIT <= value <= LIMIT and value == int(value))
    else:
        assert type(stored) is int
        assert stored == value
        assert -LIMIT <= stored <= LIMIT
