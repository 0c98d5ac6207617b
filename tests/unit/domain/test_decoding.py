"""Decoding of bodies from bytes to validated values."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.decoding import Decoder, check_depth
from nexxus.errors import InvalidParameters
from nexxus.objects.requests import SubscribeRequest

SUBSCRIBE = Decoder(SubscribeRequest)
ANYTHING = Decoder(dict[str, Any])


def complaint(decoder: Decoder, data: bytes, *, msgpack: bool = False) -> InvalidParameters:
    decode = decoder.decode_msgpack if msgpack else decoder.decode_json
    with pytest.raises(InvalidParameters) as caught:
        decode(data, max_depth=64)
    return caught.value


def test_an_unknown_key_is_named() -> None:
    error = complaint(SUBSCRIBE, b'{"model": "task", "filtr": {}}')
    assert error.message == "filtr: unknown key; did you mean 'filter'?"
    assert error.details == {"field": "filtr", "rule": "unknown"}


def test_a_missing_key_is_named() -> None:
    assert complaint(SUBSCRIBE, b"{}").details == {"field": "model", "rule": "required"}


def test_a_wrong_type_is_explained() -> None:
    error = complaint(SUBSCRIBE, b'{"model": "task", "sort": [1]}')
    assert error.message == "sort[0]: expected str, got int"


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"nonsense", b'{"a": NaN}', b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"{} {}"],
)
def test_anything_but_a_json_object_is_refused(data: bytes) -> None:
    complaint(ANYTHING, data)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"\x81\xa1a\xc4\x01a", id="bytes"),
        pytest.param(b"\x81\xa1a\xd6\xff\x00\x00\x00\x00", id="a time stamp"),
        pytest.param(b"\x81\xa1a\xd4\x05a", id="an extension"),
        pytest.param(b"\x81\x01\x02", id="a key that is no string"),
        pytest.param(b"\x81\xa1a\xcb\x7f\xf8\0\0\0\0\0\0", id="NaN"),
        pytest.param(b"\x81\xa1a\xa1\xff", id="a string that is not UTF-8"),
    ],
)
def test_values_that_json_lacks_are_refused(value: bytes) -> None:
    complaint(ANYTHING, value, msgpack=True)


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_the_depth_is_counted_in_levels() -> None:
    assert ANYTHING.decode_json(nested(64), max_depth=64)
    assert "64 levels" in complaint(ANYTHING, nested(65)).message


def test_brackets_in_strings_do_not_count_as_levels() -> None:
    assert ANYTHING.decode_json(b'{"a": "' + b"[" * 500 + b'"}', max_depth=4)


@pytest.mark.parametrize("levels", [65, 5_000, 500_000])
def test_endless_nesting_is_refused_without_a_crash(levels: int) -> None:
    complaint(ANYTHING, nested(levels))
    complaint(ANYTHING, b"\x91" * levels, msgpack=True)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for decode in (SUBSCRIBE.decode_json, SUBSCRIBE.decode_msgpack, ANYTHING.decode_msgpack):
        with contextlib.suppress(InvalidParameters):
            decode(data, max_depth=8)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_both_formats_decode_to_the_same_value(value: dict[str, Any]) -> None:
    from_json = ANYTHING.decode_json(msgspec.json.encode(value), max_depth=64)
    from_msgpack = ANYTHING.decode_msgpack(msgspec.msgpack.encode(value), max_depth=64)
    assert from_json == from_msgpack == value


def test_a_scalar_has_no_depth() -> None:
    check_depth(1, 0)
