"""Values in columns compare like the original values."""

from hypothesis import given
from hypothesis import strategies as st

from nexxus.adapters.sqlite.values import column_value, ordinal

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers)
def test_ordinals_compare_like_their_numbers(a: float, b: float) -> None:
    assert (ordinal(a) < ordinal(b)) == (a < b)
    assert (ordinal(a) == ordinal(b)) == (a == b)


@given(numbers)
def test_ordinals_fit_into_a_column(number: float) -> None:
    assert -(2**63) <= ordinal(number) < 2**63


def test_whole_floats_and_ints_are_the_same_number() -> None:
    assert column_value(1) == column_value(1.0)
    assert column_value(0.0) == column_value(-0.0) == column_value(0)


def test_booleans_are_not_numbers() -> None:
    assert column_value(True) != column_value(1)
    assert column_value(False) != column_value(0)
    assert column_value(False) < column_value(True)  # type: ignore[operator]


def test_missing_values_are_null() -> None:
    assert column_value(None) is None
    assert column_value([]) is None
    assert column_value([None]) is not None
