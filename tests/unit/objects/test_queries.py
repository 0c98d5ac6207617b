"""Clients' queries as database queries, and the cursors of pages."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from objects_world import DOCUMENT, WITH_USERS

from nexxus.domain.application import parse_application
from nexxus.domain.channels import Descriptor
from nexxus.domain.filter_parser import parse_filter
from nexxus.domain.filters import EVERYTHING, And, Compare, Op
from nexxus.errors import InvalidParameters
from nexxus.interfaces.database import Query, SortKey
from nexxus.objects.queries import (
    DEFAULT_SORT,
    FilterLimits,
    Paging,
    Selection,
    build_query,
    cursor_behind,
    describe,
    rows_of,
)

PLAIN, WITH_AUTH = parse_application(DOCUMENT), parse_application(WITH_USERS)
MODEL = PLAIN.model("task")
TASK = {"id": "t", "createdAt": 7, "title": "a", "points": 3}


def described(application: Any = WITH_AUTH, **asked: Any) -> Descriptor:
    return describe(application, MODEL, Selection(**asked), FilterLimits(conditions=10, depth=5))


def query(**paging: Any) -> Query:
    return build_query(PLAIN, MODEL, EVERYTHING, Paging(**paging))


def refused(field: str, **paging: Any) -> None:
    with pytest.raises(InvalidParameters) as error:
        query(**paging)
    assert error.value.details == {"field": field}


# Descriptors


def test_a_filter_is_normalised_in_a_descriptor() -> None:
    assert described(filter={"$or": [{"title": "b"}, {"title": {"$eq": "a"}}]}) == Descriptor(
        "task", filter={"title": {"in": ["a", "b"]}}
    )
    assert described(filter={}) == Descriptor("task")


@pytest.mark.parametrize(
    ("application", "asked", "field"),
    [
        (WITH_AUTH, {"id": "t", "user_id": "ann"}, "userId"),
        (PLAIN, {"user_id": "ann"}, "userId"),
        (WITH_AUTH, {"id": "no/id"}, "id"),
        (WITH_AUTH, {"user_id": "no/id"}, "userId"),
        (WITH_AUTH, {"filter": {"notes": "a"}}, "notes"),
    ],
)
def test_an_invalid_descriptor_is_refused(
    application: Any, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidParameters) as error:
        described(application, **asked)
    assert error.value.details is not None
    assert error.value.details["field"] == field


def test_a_descriptor_selects_by_id_user_and_filter() -> None:
    a_title = Compare("title", Op.EQ, "a")
    assert rows_of(described(), MODEL) == EVERYTHING
    assert rows_of(described(id="t", filter={"title": "a"}), MODEL) == And(
        (Compare("id", Op.EQ, "t"), a_title)
    )
    assert rows_of(described(user_id="ann", filter={"title": "a"}), MODEL) == And(
        (a_title, Compare("userId", Op.EQ, "ann"))
    )


# Limits and offsets


@pytest.mark.parametrize(("asked", "given"), [(None, 2), (1, 1), (5, 5), (6, 5), (2**53, 5)])
def test_a_limit_has_a_default_and_is_cut(asked: int | None, given: int) -> None:
    assert query(limit=asked).limit == given


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    refused("limit", limit=limit)


@pytest.mark.parametrize("offset", [-1, 2**31 + 1])
def test_an_offset_out_of_range_is_refused(offset: int) -> None:
    refused("offset", offset=offset)


# Orders


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        (None, DEFAULT_SORT),
        ([], (SortKey("id"),)),
        (["-points"], (SortKey("points", True), SortKey("id"))),
        (["points", "-id", "title"], (SortKey("points"), SortKey("id", True))),
        (["updatedAt", "title"], (SortKey("updatedAt"), SortKey("title"), SortKey("id"))),
    ],
)
def test_every_order_ends_with_the_id(asked: list[str] | None, order: tuple[SortKey, ...]) -> None:
    assert query(sort=asked).sort == order


@pytest.mark.parametrize(
    "sort", [["notes"], ["tags"], ["nothing"], ["--points"], ["points", "-points"]]
)
def test_an_order_by_a_field_without_order_is_refused(sort: list[str]) -> None:
    refused("sort", sort=sort)


# Cursors


@pytest.mark.parametrize("sort", [None, ["-points"], ["title", "-id"]])
def test_a_cursor_continues_after_its_object(sort: list[str] | None) -> None:
    first = query(sort=sort)
    continued = query(sort=sort, cursor=cursor_behind(TASK, first))
    assert continued.after == first.place_of(TASK)
    assert msgspec.structs.replace(continued, after=None) == first


def test_a_cursor_may_have_a_missing_value() -> None:
    first = query(sort=["points"])
    assert query(sort=["points"], cursor=cursor_behind({"id": "t"}, first)).after == (None, "t")


@pytest.mark.parametrize(
    ("filter", "sort"), [({"title": "a"}, None), (None, ["points"]), (None, ["-createdAt"])]
)
def test_a_cursor_of_another_query_is_refused(filter: Any, sort: list[str] | None) -> None:
    rows = EVERYTHING if filter is None else parse_filter(filter, MODEL)
    other = build_query(PLAIN, MODEL, rows, Paging(sort=sort))
    refused("cursor", cursor=cursor_behind(TASK, other))


def test_a_cursor_and_an_offset_exclude_each_other() -> None:
    refused("cursor", cursor=cursor_behind(TASK, query()), offset=0)


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40)))
def test_an_invalid_cursor_is_refused(junk: str | bytes) -> None:
    text = junk if isinstance(junk, str) else base64.urlsafe_b64encode(junk).decode()
    refused("cursor", cursor=text)


@pytest.mark.parametrize("values", [[], [7], [7, "t", 1], ["7", "t"], [True, "t"], [7, 5]])
def test_a_cursor_with_values_that_do_not_fit_the_order_is_refused(values: list[Any]) -> None:
    first = query()
    packed = base64.urlsafe_b64decode(cursor_behind(TASK, first) + "==")
    fingerprint, _ = msgspec.json.decode(packed)
    forged = base64.urlsafe_b64encode(msgspec.json.encode([fingerprint, values])).decode()
    refused("cursor", cursor=forged.rstrip("="))
