from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.filter_parser import from_document, parse_filter
from nexxus.domain.filters import (
    EVERYTHING,
    NOTHING,
    And,
    Compare,
    Filter,
    In,
    Missing,
    Not,
    Op,
    Or,
    filter_id,
)
from nexxus.domain.schema import compile_model
from nexxus.errors import InvalidParameters
from nexxus.testing.strategies import RICH_MODEL, filter_documents, respellings

NAN, INFINITY = float("nan"), float("inf")


def parse(document: Any, **limits: int) -> Filter:
    return parse_filter(document, RICH_MODEL, **limits)


two_spellings = filter_documents().flatmap(
    lambda document: st.tuples(st.just(document), respellings(document))
)


@given(two_spellings)
def test_all_spellings_of_a_filter_have_one_form_and_one_id(
    spellings: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    one, other = (from_document(document, RICH_MODEL) for document in spellings)

    assert one == other
    assert filter_id(one) == filter_id(other)


@pytest.mark.parametrize(
    ("document", "filter"),
    [
        ({"title": "a"}, Compare("title", Op.EQ, "a")),
        ({"title": {"$eq": "a"}}, Compare("title", Op.EQ, "a")),
        ({"title": {"ne": "a"}}, Not(Compare("title", Op.EQ, "a"))),
        ({"title": None}, Missing("title")),
        ({"title": {"eq": None}}, Missing("title")),
        ({"title": {"$ne": None}}, Not(Missing("title"))),
        ({"title": {"exists": False}}, Missing("title")),
        ({"title": {"exists": True}}, Not(Missing("title"))),
        ({"title": {"in": ["b", "a", "b"]}}, In("title", ("a", "b"))),
        ({"title": {"in": ["a"]}}, Compare("title", Op.EQ, "a")),
        ({"title": {"in": []}}, NOTHING),
        ({"title": {"in": [None]}}, Missing("title")),
        ({"title": {"in": ["a", None]}}, Or((Compare("title", Op.EQ, "a"), Missing("title")))),
        ({"title": {"nin": ["b", "a"]}}, Not(In("title", ("a", "b")))),
        ({"title": {"nin": []}}, EVERYTHING),
        (
            {"title": {"nin": ["a", None]}},
            And((Not(Compare("title", Op.EQ, "a")), Not(Missing("title")))),
        ),
        ({"tags": {"contains": "a"}}, Compare("tags", Op.CONTAINS, "a")),
        ({"tags": "a"}, Compare("tags", Op.CONTAINS, "a")),
        ({"tags": {"eq": "a"}}, Compare("tags", Op.CONTAINS, "a")),
        ({"tags": {"ne": "a"}}, Not(Compare("tags", Op.CONTAINS, "a"))),
        ({"tags": {"in": ["a"]}}, Compare("tags", Op.CONTAINS, "a")),
        ({"tags": {"nin": ["a", "a"]}}, Not(Compare("tags", Op.CONTAINS, "a"))),
        ({"tags": None}, Missing("tags")),
        ({"tags": {"in": [None]}}, Missing("tags")),
        ({"tags": {"ne": None}}, Not(Missing("tags"))),
        ({"visits": {"contains": "1970-01-02"}}, Compare("visits", Op.CONTAINS, 86_400)),
        ({"place.town.name": "a"}, Compare("place.town.name", Op.EQ, "a")),
        ({"points": 1.0}, Compare("points", Op.EQ, 1)),
        ({"points": 1.5}, Compare("points", Op.EQ, 1.5)),
        ({"points": {"gt": 1e300}}, Compare("points", Op.GT, 1e300)),
        ({"rating": 1}, Compare("rating", Op.EQ, 1)),
        ({"rating": 2**53 + 1}, Compare("rating", Op.EQ, 2**53)),
        ({"dueDate": "1970-01-02"}, Compare("dueDate", Op.EQ, 86_400)),
        ({"createdAt": {"gte": "1970-01-01T00:01Z"}}, Compare("createdAt", Op.GTE, 60)),
        (
            {"points": {"gt": 1, "$lt": 3}},
            And((Compare("points", Op.GT, 1), Compare("points", Op.LT, 3))),
        ),
        (
            {"isDone": True, "and": [{"title": "a"}], "$and": []},
            And((Compare("isDone", Op.EQ, True), Compare("title", Op.EQ, "a"))),
        ),
        ({"or": []}, NOTHING),
        ({"and": []}, EVERYTHING),
        ({}, EVERYTHING),
        ({"$not": {}}, NOTHING),
    ],
)
def test_a_spelling_becomes_its_normal_form(document: Any, filter: Filter) -> None:
    parsed = parse(document)

    assert parsed == filter
    assert repr(parsed) == repr(filter)  # 1, 1.0 and True are equal, but not the same


def test_a_field_named_like_an_operator_takes_precedence() -> None:
    assert parse({"not": 1}) == Compare("not", Op.EQ, 1)
    assert parse({"$not": {"not": 1}}) == Not(Compare("not", Op.EQ, 1))


def test_a_field_named_like_an_operator_takes_precedence_even_if_not_filterable() -> None:
    model = compile_model("m", {"or": {"type": "string"}})

    with pytest.raises(InvalidParameters, match="or: is not filterable"):
        parse_filter({"or": []}, model)


def test_negative_zero_is_zero() -> None:
    assert repr(parse({"rating": -0.0})) == repr(parse({"rating": 0}))


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "filter"),
        (None, "filter"),
        ("title", "filter"),
        ({"title": {}}, "title"),
        ({"title": []}, "title"),
        ({"title": ["a"]}, "title"),
        ({"title": 1}, "title"),
        ({"title": {"like": "a"}}, "title"),
        ({"title": {"$$eq": "a"}}, "title"),
        ({"title": {"$not": {"eq": "a"}}}, "title"),
        ({"title": {1: "a"}}, "title"),
        ({"title": {"gt": "a"}}, "title"),
        ({"title": {"contains": "a"}}, "title"),
        ({"title": {"in": "a"}}, "title"),
        ({"title": {"nin": None}}, "title"),
        ({"title": {"in": [["a"]]}}, "title"),
        ({"title": {"exists": 1}}, "title"),
        ({"title": {"exists": None}}, "title"),
        ({"points": True}, "points"),
        ({"points": "1"}, "points"),
        ({"points": NAN}, "points"),
        ({"points": {"lt": INFINITY}}, "points"),
        ({"points": {"in": [1, NAN]}}, "points"),
        ({"points": 2**53 + 1}, "points"),
        ({"points": {"gt": None}}, "points"),
        ({"rating": 10**400}, "rating"),
        ({"rating": False}, "rating"),
        ({"rating": {"gte": -INFINITY}}, "rating"),
        ({"isDone": 1}, "isDone"),
        ({"isDone": {"gt": False}}, "isDone"),
        ({"dueDate": "yesterday"}, "dueDate"),
        ({"dueDate": {"lte": None}}, "dueDate"),
        ({"tags": ["a"]}, "tags"),
        ({"tags": {"in": [["a"]]}}, "tags"),
        ({"tags": {"gt": 1}}, "tags"),
        ({"tags": {"contains": None}}, "tags"),
        ({"tags": {"contains": ["a"]}}, "tags"),
        ({"tags": {"contains": 1}}, "tags"),
        ({"secret": "a"}, "secret"),
        ({"place": None}, "place"),
        ({"place": {"lat": 1}}, "place"),
        ({"lines": {"exists": True}}, "lines"),
        ({"lines.n": 1}, "lines.n"),
        ({"version": 1}, "version"),
        ({"type": "thing"}, "type"),
        ({"unknown": 1}, "unknown"),
        ({"$nor": []}, "$nor"),
        ({1: "a"}, "1"),
        ({"$and": {}}, "filter.$and"),
        ({"$or": None}, "filter.$or"),
        ({"$or": [{}, "a"]}, "filter.$or[1]"),
        ({"$not": []}, "filter.$not"),
        ({"$not": None}, "filter.$not"),
    ],
)
def test_anything_else_is_refused_naming_the_field_and_the_rule(document: Any, field: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        parse(document)

    assert refusal.value.details is not None
    assert refusal.value.details["field"] == field
    assert refusal.value.details["rule"]
    assert refusal.value.message.startswith(field)


def test_an_in_takes_1024_values_and_counts_as_one_condition() -> None:
    parse({"points": {"in": list(range(1024))}}, max_conditions=1)

    with pytest.raises(InvalidParameters, match="at most 1024"):
        parse({"points": {"in": [0] * 1025}})


def test_every_operator_on_a_field_counts_as_a_condition() -> None:
    document = {"$or": [{"points": {"gt": 1, "lt": 2}}, {"title": "a"}]}
    parse(document, max_conditions=3)

    with pytest.raises(InvalidParameters, match="more than 2 conditions"):
        parse(document, max_conditions=2)


def test_filters_may_be_nested_to_the_limit_and_no_deeper() -> None:
    document: dict[str, Any] = {}
    for _ in range(63):
        document = {"$not": document}
    parse(document)

    with pytest.raises(InvalidParameters, match="more than 64 levels"):
        parse({"$and": [document]})


def test_a_stored_document_is_parsed_without_limits() -> None:
    many = {"$or": [{"points": {"gt": number}} for number in range(1000)]}

    stored = from_document(many, RICH_MODEL)

    assert isinstance(stored, Or)
    assert len(stored.parts) == 1000
