from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.channels import Descriptor, Route
from nexxus.domain.events import Event, EventName
from nexxus.domain.filter_matcher import Matcher, compile_matcher
from nexxus.domain.filter_parser import from_document
from nexxus.domain.filters import Filter, to_document
from nexxus.domain.objects import Document
from nexxus.domain.verdicts import Verdict, Verdicts
from nexxus.errors import InvalidParameters
from nexxus.matching import RouteIndex
from nexxus.testing.naive_filter import matches
from nexxus.testing.strategies import RICH_MODEL, documents, filter_documents


def normal(filter: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if filter is None else to_document(from_document(filter, RICH_MODEL))


def route(
    key: str,
    filter: dict[str, Any] | None = None,
    *,
    id: str | None = None,
    user_id: str | None = None,
    access: dict[str, Any] | None = None,
) -> Route:
    descriptor = Descriptor(RICH_MODEL.name, id=id, user_id=user_id, filter=normal(filter))
    return Route(key, "app", descriptor, access=normal(access))


def event(before: Document | None, after: Document | None) -> Event:
    name: EventName = "model_updated"
    if before is None:
        name = "model_created"
    elif after is None:
        name = "model_deleted"
    return Event(name, "app", RICH_MODEL.name, "1", 2, before, after)


def index_of(routes: Sequence[Route]) -> RouteIndex:
    index = RouteIndex(RICH_MODEL)
    for each in routes:
        index.add(each)
    return index


def expected(routes: Sequence[Route], event: Event) -> Verdicts:
    """The expected result, computed by evaluating every route naively."""
    verdicts: Verdicts = {}
    for each in routes:
        was, is_now = is_member(each, event.before), is_member(each, event.after)
        if is_now:
            verdicts[each.key] = Verdict.UPDATED if was else Verdict.CREATED
        elif was and event.after is None:
            verdicts[each.key] = Verdict.DELETED
        elif was:
            assert event.after is not None
            is_allowed = matches(each.access or {}, RICH_MODEL, event.after)
            verdicts[each.key] = Verdict.LEFT if is_allowed else Verdict.DENIED
    return verdicts


def is_member(route: Route, document: Document | None) -> bool:
    return (
        document is not None
        and route.descriptor.id in (None, document["id"])
        and route.descriptor.user_id in (None, document.get("userId"))
        and matches(route.descriptor.filter or {}, RICH_MODEL, document)
        and matches(route.access or {}, RICH_MODEL, document)
    )


@st.composite
def routes(draw: st.DrawFn) -> Route:
    narrowing = draw(
        st.sampled_from([{}, {}, {"id": "1"}, {"id": "a"}, {"user_id": "u1"}, {"user_id": "u2"}])
    )
    return route(
        draw(st.sampled_from("abcdefgh")),
        draw(FILTERS),
        **narrowing,
        access=draw(st.none() | FILTERS),
    )


FILTERS = filter_documents()
SEVERAL_ROUTES = st.lists(routes(), max_size=8, unique_by=lambda each: each.key)
DOCUMENTS = documents()
EVENTS = st.one_of(
    st.builds(event, DOCUMENTS, DOCUMENTS),
    st.builds(event, st.none(), DOCUMENTS),
    st.builds(event, DOCUMENTS, st.none()),
)


@given(SEVERAL_ROUTES, st.lists(EVENTS, min_size=1, max_size=3))
def test_an_event_matches_the_same_routes_as_evaluating_every_route(
    routes: list[Route], events: list[Event]
) -> None:
    index = index_of(routes)

    for each in events:
        assert index.match(each) == expected(routes, each)


RANGES = st.sampled_from(["points", "rating", "place.lat"]).flatmap(
    lambda path: st.dictionaries(
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        st.integers(-4, 4)
        | st.floats(-4, 4)
        | st.sampled_from([5e-324, -5e-324, 1e-300, 1e300, -1e300, 1.7e308, -1.7e308, 2.0**53]),
        min_size=1,
        max_size=3,
    ).map(lambda bounds: {path: bounds})
)
NUMBERS = st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)
NUMERIC_DOCUMENTS = st.fixed_dictionaries(
    {
        "id": st.just("1"),
        "points": st.integers(-5, 5) | st.sampled_from([2**53, -(2**53)]),
        "rating": NUMBERS | st.sampled_from([5e-324, -5e-324, 0.0, -0.0, 1e-300, 1e300, 1.7e308]),
        "place": st.fixed_dictionaries({"lat": st.floats(-5, 5)}),
    }
)


@given(st.lists(RANGES, max_size=40), st.lists(NUMERIC_DOCUMENTS, min_size=1, max_size=5))
def test_ranges_of_every_width_find_their_numbers(
    filters: list[dict[str, Any]], documents: list[Document]
) -> None:
    routes = [route(str(i), each) for i, each in enumerate(filters)]
    index = index_of(routes)

    for each in documents:
        assert index.match(event(None, each)) == expected(routes, event(None, each))


CHANGES = st.lists(st.tuples(st.booleans(), routes()), max_size=12)


@given(CHANGES, st.lists(EVENTS, min_size=1, max_size=2))
def test_removed_routes_leave_nothing_behind(
    changes: list[tuple[bool, Route]], events: list[Event]
) -> None:
    index = RouteIndex(RICH_MODEL)
    present: dict[str, Route] = {}
    for is_added, each in changes:
        if is_added:
            index.add(each)
            present[each.key] = each
        else:
            index.remove(each.key)
            present.pop(each.key, None)
        assert index.match(events[0]) == expected([*present.values()], events[0])
    for each_event in events:
        assert index.match(each_event) == expected([*present.values()], each_event)
    assert len(index) == len(present)
    assert set(index) == set(present)

    for key in present:
        index.remove(key)

    untouched = RouteIndex(RICH_MODEL)
    assert vars(index) == vars(untouched)


def test_an_object_enters_stays_in_and_leaves_a_filter() -> None:
    index = index_of([route("open", {"title": "open"})])
    opened, closed = {"id": "1", "title": "open"}, {"id": "1", "title": "closed"}

    assert index.match(event(None, opened)) == {"open": Verdict.CREATED}
    assert index.match(event(closed, opened)) == {"open": Verdict.CREATED}
    assert index.match(event(opened, opened)) == {"open": Verdict.UPDATED}
    assert index.match(event(opened, closed)) == {"open": Verdict.LEFT}
    assert index.match(event(opened, None)) == {"open": Verdict.DELETED}
    assert index.match(event(closed, None)) == {}


def test_a_repeated_event_is_a_create_for_every_matching_route() -> None:
    index = index_of([route("low", {"points": {"lte": 3}}), route("all")])
    again = msgspec.structs.replace(
        event({"id": "1", "points": 2}, {"id": "1", "points": 3}), repeated=True
    )
    assert index.match(again) == {"all": Verdict.CREATED, "low": Verdict.CREATED}
    left = msgspec.structs.replace(
        event({"id": "1", "points": 2}, {"id": "1", "points": 5}), repeated=True
    )
    assert index.match(left) == {"all": Verdict.CREATED, "low": Verdict.LEFT}


def test_denied_wins_over_left() -> None:
    index = index_of([route("mine", {"title": "open"}, access={"points": {"lt": 5}})])
    opened = {"id": "1", "title": "open", "points": 1}

    assert index.match(event(opened, {**opened, "points": 9})) == {"mine": Verdict.DENIED}
    assert index.match(event(opened, {**opened, "title": "closed"})) == {"mine": Verdict.LEFT}
    both = {"id": "1", "title": "closed", "points": 9}
    assert index.match(event(opened, both)) == {"mine": Verdict.DENIED}


def test_an_unfiltered_route_receives_every_event() -> None:
    index = index_of([route("all")])

    assert index.match(event(None, {"id": "1"})) == {"all": Verdict.CREATED}


def test_a_route_by_id_or_user_receives_only_its_own_events() -> None:
    index = index_of([route("one", id="1"), route("two", id="2"), route("hers", user_id="u1")])

    assert index.match(event(None, {"id": "1", "userId": "u2"})) == {"one": Verdict.CREATED}
    assert index.match(event(None, {"id": "3", "userId": "u1"})) == {"hers": Verdict.CREATED}


def test_adding_a_key_again_replaces_its_route() -> None:
    index = index_of([route("a", {"title": "x"}), route("a", {"title": "y"})])

    assert len(index) == 1
    assert index.match(event(None, {"id": "1", "title": "x"})) == {}
    assert index.match(event(None, {"id": "1", "title": "y"})) == {"a": Verdict.CREATED}


def test_a_route_that_does_not_fit_the_model_is_refused_and_changes_nothing() -> None:
    index = index_of([route("a", {"title": "x"})])

    with pytest.raises(InvalidParameters, match="gone"):
        index.add(Route("a", "app", Descriptor("thing", filter={"gone": {"eq": 1}})))

    assert index.match(event(None, {"id": "1", "title": "x"})) == {"a": Verdict.CREATED}


def test_removing_an_unknown_key_does_nothing() -> None:
    index = RouteIndex(RICH_MODEL)

    index.remove("a")

    assert "a" not in index


def test_many_thresholds_stay_sorted_while_they_change() -> None:
    routes = [route(str(n), {"points": {"gte": n * 7 % 101}}) for n in range(101)]
    index = index_of(routes)
    for each in routes[:60]:
        index.remove(each.key)
    for each in routes[:20]:
        index.add(each)
    present = [*routes[:20], *routes[60:]]

    for points in (-1, 0, 1, 50, 100, 101):
        found = event(None, {"id": "1", "points": points})
        assert index.match(found) == expected(present, found)


def filled(pattern: Any, n: int) -> Any:
    """The filter with every ``{n}`` replaced by `n`."""
    if isinstance(pattern, dict):
        return {key: filled(value, n) for key, value in pattern.items()}
    if isinstance(pattern, list):
        return [filled(value, n) for value in pattern]
    if pattern in ("{n}00", "{n}99"):
        return int(pattern.format(n=n))
    return pattern.format(n=n) if isinstance(pattern, str) else pattern


@pytest.mark.parametrize(
    "filter",
    [
        {"title": "{n}"},
        {"title": {"in": ["{n}", "x{n}"]}, "points": {"gt": 0}},
        {"isDone": False, "title": "{n}"},
        {"tags": {"contains": "{n}"}},
        {"$or": [{"title": "{n}"}, {"note": "{n}", "isDone": False}]},
        {"dueDate": {"gte": "{n}00", "lt": "{n}99"}},
        {"isDone": False, "dueDate": {"gte": "{n}00", "lt": "{n}99"}},
    ],
)
def test_an_event_evaluates_only_the_near_routes(
    filter: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_of([route(str(n), filled(filter, n)) for n in range(100, 1100)])
    judged: list[Filter] = []

    def compile_and_note(filter: Filter) -> Matcher:
        judged.append(filter)
        return compile_matcher(filter)

    monkeypatch.setattr("nexxus.matching.indexed_routes.compile_matcher", compile_and_note)
    document = {
        "id": "1",
        "title": "500",
        "note": "500",
        "isDone": False,
        "points": 1,
        "dueDate": 50_050,
        "tags": ["500"],
    }

    assert index.match(event(None, document)) == {"500": Verdict.CREATED}
    assert len(judged) <= 20
