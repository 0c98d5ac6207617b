"""User names: names that look the same are the same."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.accounts.usernames import check_username, normalise
from nexxus.errors import InvalidParameters

contract = partial(pytest.mark.contract, "3. Sessions, users, devices")


@contract("user names are compared normalised")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bob", "Bob"),
        ("bob", " bob\t"),
        ("jos\u00e9", "jose\u0301"),
        ("stra\u00dfe", "STRASSE"),
        (
            "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
            "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3",
        ),
    ],
)
def test_names_that_look_the_same_are_equal(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@given(st.text())
def test_normalising_again_changes_nothing(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@pytest.mark.parametrize(
    ("given_name", "stored"),
    [
        ("Bob", "Bob"),
        (" Ann Lee ", "Ann Lee"),
        ("jose\u0301", "jos\u00e9"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_a_name_is_stored_as_it_was_spelled(given_name: str, stored: str) -> None:
    assert check_username(given_name) == stored


@contract("user names are compared normalised")
@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("bob\u200b", "U+200B"),
        ("bob\x1b[2J", "U+001B"),
        ("b\u202eob", "U+202E"),
        ("b\u00a0ob", "U+00A0"),
        ("bob\u3164", "U+3164"),
        ("b\nob", "U+000A"),
    ],
)
def test_a_name_with_an_unseen_character_is_refused(name: str, character: str) -> None:
    with pytest.raises(InvalidParameters, match=character.replace("+", r"\+")) as refusal:
        check_username(name)
    assert refusal.value.details == {"field": "username", "rule": "visible"}


@pytest.mark.parametrize("name", [None, 7, "", "   ", "a" * 257])
def test_anything_else_is_refused(name: Any) -> None:
    with pytest.raises(InvalidParameters, match="1 to 256 characters"):
        check_username(name)
