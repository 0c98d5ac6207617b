from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from nexxus.domain.filter_matcher import compile_matcher
from nexxus.domain.filter_parser import from_document
from nexxus.testing.naive_filter import matches
from nexxus.testing.strategies import RICH_MODEL, documents, filter_documents


def judge(filter: dict[str, Any], document: dict[str, Any]) -> bool:
    """Return the matcher's result; assert that the naive implementation agrees."""
    result = compile_matcher(from_document(filter, RICH_MODEL))(document)
    assert result is matches(filter, RICH_MODEL, document)
    return result


@settings(max_examples=3 * settings.default.max_examples)
@given(filter_documents(), documents())
def test_the_matcher_agrees_with_the_contract(
    filter: dict[str, Any], document: dict[str, Any]
) -> None:
    judge(filter, document)


@pytest.mark.parametrize("missing", [{}, {"title": None}])
@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ({"eq": "a"}, False),
        ({"ne": "a"}, True),
        ({"in": ["a", "b"]}, False),
        ({"nin": ["a", "b"]}, True),
        ({"exists": True}, False),
        ({"exists": False}, True),
        (None, True),
        ({"ne": None}, False),
        ({"in": ["a", None]}, True),
        ({"nin": ["a", None]}, False),
    ],
)
def test_a_missing_value_equals_only_null(
    missing: dict[str, Any], condition: Any, verdict: bool
) -> None:
    assert judge({"title": condition}, missing) is verdict


def test_a_comparison_with_a_missing_value_is_false_and_its_not_true() -> None:
    assert not judge({"points": {"gt": 0}}, {})
    assert judge({"$not": {"points": {"gt": 0}}}, {})


def test_an_empty_array_is_missing() -> None:
    assert judge({"tags": None}, {"tags": []})
    assert not judge({"tags": {"exists": True}}, {"tags": []})
    assert judge({"tags": {"exists": True}}, {"tags": [""]})


def test_a_path_through_a_missing_object_is_missing() -> None:
    for document in ({}, {"place": None}, {"place": {}}, {"place": {"town": {}}}):
        assert judge({"place.town.name": None}, document)


def test_an_int_is_compared_with_a_float_mathematically() -> None:
    assert judge({"points": {"gt": 1.5}}, {"points": 2})
    assert not judge({"points": 1.5}, {"points": 1})
    assert judge({"points": {"lt": 9007199254740992.0}}, {"points": 2**53 - 1})


def test_strings_are_equal_if_their_code_points_are() -> None:
    assert not judge({"title": "é"}, {"title": "e\u0301"})
    assert not judge({"title": "a"}, {"title": "A"})
    assert judge({"title": "\x00😀"}, {"title": "\x00😀"})


@pytest.mark.parametrize("value", ["1", ["1"], {"a": 1}, True, [{}]])
def test_a_value_of_a_type_from_before_a_schema_change_does_not_raise(value: Any) -> None:
    for condition in (
        {"points": {"gt": 5}},
        {"points": {"in": [5, 6]}},
        {"place.lat": 1},
        {"tags": {"contains": "a"}},
    ):
        document = dict.fromkeys(("points", "place", "tags"), value)
        assert not compile_matcher(from_document(condition, RICH_MODEL))(document)
