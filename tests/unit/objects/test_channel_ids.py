"""Channel ids: which queries have the same one."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexxus.domain.application import parse_application
from nexxus.domain.channels import Descriptor, channel_of
from nexxus.domain.filter_parser import parse_filter
from nexxus.domain.filters import EVERYTHING, Filter
from nexxus.objects.queries import FilterLimits, Selection, describe
from nexxus.objects.subscriptions import channel_id, route_of
from nexxus.testing.strategies import RICH_MODEL, filter_documents, respellings

APPLICATION = parse_application({"id": "app", "auth": {}})
ANNS = parse_filter({"userId": "ann"}, RICH_MODEL)
TITLED = parse_filter({"title": "a"}, RICH_MODEL)


def descriptor(filter: Any = None, id: str | None = None, user_id: str | None = None) -> Descriptor:
    selection = Selection(id, user_id, filter)
    return describe(APPLICATION, RICH_MODEL, selection, FilterLimits(conditions=1_000, depth=64))


def channel(filter: Any = None, access: Filter = EVERYTHING, **more: str) -> str:
    return channel_id("app", descriptor(filter, **more), RICH_MODEL, access)


def key(filter: Any = None, access: Filter = EVERYTHING) -> str:
    """The routing key of a new subscription."""
    described = descriptor(filter)
    name = channel_id("app", described, RICH_MODEL, access)
    return route_of(name, "app", described, RICH_MODEL, access).key


def test_a_channel_id_names_the_query() -> None:
    digest = hashlib.sha256(b'{"title":{"eq":"a"}}').hexdigest()[:16]

    assert channel() == "nxx:subscription:app:thing"
    assert channel(id="1") == "nxx:subscription:app:thing:1"
    assert channel(user_id="ann") == "nxx:subscription:app:thing:user:ann"
    assert channel({"title": "a"}) == f"nxx:subscription:app:thing:filter:{digest}"
    assert channel({"title": "a"}, id="1") == f"nxx:subscription:app:thing:1:filter:{digest}"
    assert channel({"title": "a"}, user_id="ann") == (
        f"nxx:subscription:app:thing:user:ann:filter:{digest}"
    )


@settings(max_examples=40)  # that spelling makes no difference is shown where filters are parsed
@given(
    filter_documents().flatmap(lambda one: st.tuples(st.just(one), respellings(one))),
    st.sampled_from([EVERYTHING, ANNS]),
)
def test_another_spelling_of_a_filter_is_the_same_channel(
    spellings: tuple[dict[str, Any], dict[str, Any]], access: Filter
) -> None:
    one, other = spellings

    assert descriptor(one) == descriptor(other)
    assert channel(one, access) == channel(other, access)
    assert key(one, access) == key(other, access)


@pytest.mark.parametrize(
    "filter", [{}, {"$and": []}, {"title": {"nin": []}}, {"$not": {"$or": []}}]
)
def test_a_filter_that_matches_everything_is_the_unfiltered_channel(filter: Any) -> None:
    assert descriptor(filter) == Descriptor("thing")
    assert channel(filter) == channel()


def test_another_query_is_another_channel() -> None:
    filters = [None, {"title": "a"}, {"title": "A"}, {"title": None}, {"points": 1}, {"$or": []}]
    names = [channel(one, **more) for one in filters for more in ({}, {"id": "1"})]

    assert len(set(names)) == len(names)


def test_the_channel_id_combines_the_clients_filter_and_the_roles() -> None:
    assert channel(None, ANNS) == channel({"userId": "ann"})
    assert channel({"title": "a"}, ANNS) == channel({"userId": "ann", "title": "a"})


def test_without_access_control_the_routing_key_is_the_channel_id() -> None:
    assert key({"title": "a"}) == channel({"title": "a"})


def test_a_channel_has_an_audience_for_each_combination_that_yields_its_id() -> None:
    both = {"userId": "ann", "title": "a"}
    keys = [key(both), key({"title": "a"}, ANNS), key(both, ANNS), key(both, TITLED)]

    assert len(set(keys)) == len(keys)
    assert {channel_of(one) for one in keys} == {channel(both)}
