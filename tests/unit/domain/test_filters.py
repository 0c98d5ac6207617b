from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.filter_matcher import compile_matcher
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
    conjoin,
    disjoin,
    filter_id,
    negate,
    to_document,
)
from nexxus.testing.strategies import RICH_MODEL, documents, filter_documents

A1, A2, A3 = (Compare("a", Op.EQ, value) for value in (1, 2, 3))
B1 = Compare("b", Op.EQ, 1)
GREATER, LESS = Compare("a", Op.GT, 5), Compare("a", Op.LT, 7)
NO_A, NO_B = Missing("a"), Missing("b")

filters = filter_documents().map(lambda document: from_document(document, RICH_MODEL))


def test_everything_and_nothing_are_absorbed_or_absorb() -> None:
    assert conjoin() == conjoin(EVERYTHING, EVERYTHING) == disjoin(A1, EVERYTHING) == EVERYTHING
    assert disjoin() == disjoin(NOTHING, NOTHING) == conjoin(A1, NOTHING) == NOTHING
    assert conjoin(EVERYTHING, A1) == disjoin(NOTHING, A1) == A1
    assert negate(EVERYTHING) == NOTHING


def test_a_condition_and_its_opposite_are_nothing_and_either_is_everything() -> None:
    assert conjoin(GREATER, negate(GREATER)) == NOTHING
    assert disjoin(GREATER, negate(GREATER)) == EVERYTHING


def test_negation_is_pushed_down_to_conditions() -> None:
    assert negate(conjoin(GREATER, B1)) == Or((Not(GREATER), Not(B1)))
    assert negate(disjoin(GREATER, B1)) == And((Not(GREATER), Not(B1)))
    assert negate(negate(GREATER)) == GREATER


@pytest.mark.parametrize(
    ("filter", "normal"),
    [
        (disjoin(A1, A2), In("a", (1, 2))),
        (disjoin(In("a", (1, 2)), In("a", (2, 3)), A1), In("a", (1, 2, 3))),
        (conjoin(In("a", (1, 2)), In("a", (2, 3))), A2),
        (conjoin(A1, A2), NOTHING),
        (conjoin(A1, Not(A2)), A1),
        (conjoin(Not(A1), Not(A2)), Not(In("a", (1, 2)))),
        (disjoin(Not(A1), Not(A2)), EVERYTHING),
        (disjoin(A1, Not(A1)), EVERYTHING),
        (disjoin(A1, Not(In("a", (1, 2)))), Not(A2)),
        (disjoin(NO_A, Not(A1)), Not(A1)),
        (disjoin(Not(NO_A), A1), Not(NO_A)),
        (disjoin(Not(NO_A), Not(A1)), EVERYTHING),
        (conjoin(NO_A, A1), NOTHING),
        (conjoin(Not(NO_A), A1), A1),
        (conjoin(Not(NO_A), Not(A1)), And((Not(A1), Not(NO_A)))),
        (conjoin(NO_A, NO_B), And((NO_A, NO_B))),
        (conjoin(A1, B1), And((A1, B1))),
        (disjoin(A1, B1), Or((A1, B1))),
    ],
)
def test_conditions_on_one_path_are_merged(filter: Filter, normal: Filter) -> None:
    assert filter == normal


def test_ranges_are_kept_as_they_are() -> None:
    assert conjoin(LESS, GREATER) == And((GREATER, LESS))


@given(filters, filters, filters)
def test_order_grouping_and_repetition_do_not_change_and_and_or(
    one: Filter, two: Filter, three: Filter
) -> None:
    for join in (conjoin, disjoin):
        assert join(one, two) == join(two, one) == join(two, one, two)
        assert join(one, two, three) == join(join(one, two), three) == join(one, join(two, three))
        assert join(one) == join(one, one) == one


@given(filters, filters, documents())
def test_the_combined_filters_match_what_their_parts_imply(
    one: Filter, two: Filter, document: dict[str, object]
) -> None:
    first, second = compile_matcher(one)(document), compile_matcher(two)(document)

    assert compile_matcher(conjoin(one, two))(document) is (first and second)
    assert compile_matcher(disjoin(one, two))(document) is (first or second)
    assert compile_matcher(negate(one))(document) is (not first)


@given(filters)
def test_negating_twice_returns_the_same_filter(filter: Filter) -> None:
    assert negate(negate(filter)) == filter


@given(filters)
def test_a_filter_survives_the_round_trip_through_its_document(filter: Filter) -> None:
    document = json.loads(json.dumps(to_document(filter)))

    assert parse_filter(document, RICH_MODEL, max_conditions=1000) == filter
    assert to_document(from_document(document, RICH_MODEL)) == to_document(filter)


def test_a_filter_has_one_document() -> None:
    parsed = conjoin(In("a", (1, 2)), Not(NO_A), disjoin(B1, negate(GREATER)), Not(B1))

    assert to_document(parsed) == {
        "$and": [
            {"a": {"in": [1, 2]}},
            {"b": {"ne": 1}},
            {"$or": [{"b": {"eq": 1}}, {"$not": {"a": {"gt": 5}}}]},
        ]
    }
    assert to_document(EVERYTHING) == {}
    assert to_document(NOTHING) == {"$or": []}
    assert to_document(Not(NO_A)) == {"a": {"exists": True}}
    assert to_document(Not(In("a", (1, 2)))) == {"a": {"nin": [1, 2]}}


def test_a_filter_id_never_changes_because_clients_store_it() -> None:
    assert filter_id(EVERYTHING) == "44136fa355b3678a"
    assert filter_id(conjoin(A1, Compare("b", Op.EQ, "é😀\x00"))) == "c1c043810e3442fd"


def test_even_a_lone_surrogate_has_an_id() -> None:
    assert len(filter_id(Compare("a", Op.EQ, "\ud800"))) == 16


@given(st.lists(filters, min_size=2, max_size=2, unique=True))
def test_different_filters_have_different_ids(pair: list[Filter]) -> None:
    assert filter_id(pair[0]) != filter_id(pair[1])
