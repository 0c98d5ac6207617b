"""Objects: what a create makes, and whether a stored one is still valid."""

from __future__ import annotations

import copy
import time
import uuid
from functools import partial
from typing import Any

import pytest
from hypothesis import given

from nexxus.domain.objects import (
    BUILT_IN,
    build_object,
    check_id,
    check_object,
    new_id,
    time_of,
    value_at,
)
from nexxus.domain.schema import compile_model
from nexxus.errors import AccessDenied, InvalidParameters
from nexxus.testing.strategies import RICH_MODEL, documents

contract = partial(pytest.mark.contract, "2. Applications and schemas")

MODEL = compile_model(
    "task",
    {
        "title": {"type": "string", "required": True},
        "points": {"type": "int"},
        "due": {"type": "date", "nullable": True},
        "place": {"type": "object", "properties": {"lat": {"type": "float"}}},
    },
)
STORED = {"id": "1", "type": "task", "appId": "app", "createdAt": 5, "updatedAt": 5, "version": 3}


def build(user_id: str | None = "ann", **body: Any) -> dict[str, Any]:
    return build_object(MODEL, {"title": "t", **body}, app_id="app", user_id=user_id, now=7)


@contract("what an object carries")
def test_the_server_says_what_an_object_is_and_the_body_what_is_in_it() -> None:
    assert build(id="1", points=2.0, due="1970-01-02") == {
        "id": "1",
        "type": "task",
        "appId": "app",
        "userId": "ann",
        "createdAt": 7,
        "updatedAt": 7,
        "title": "t",
        "points": 2,
        "due": 86_400,
    }


def test_an_object_of_nobody_has_no_user() -> None:
    assert "userId" not in build(user_id=None)


def test_an_id_is_made_where_none_is_given() -> None:
    one, other = build()["id"], build()["id"]

    assert uuid.UUID(one).version == 7
    assert one != other


def test_made_ids_are_sorted_by_time() -> None:
    made = [new_id() for _ in range(100)]

    assert made == sorted(made)


def test_a_body_may_repeat_what_the_server_knows() -> None:
    assert build(id="1", type="task", appId="app", userId="ann") == build(id="1")


@contract("the schema is closed")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "other"),
        ("type", None),
        ("appId", "other"),
        ("id", 1),
        ("colour", "red"),
        ("place.lat", 1),
        ("$where", "1"),
        ("points", None),
        ("place", {"lat": "north"}),
    ],
)
def test_a_body_that_says_otherwise_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        build(**{name: value})

    assert refusal.value.message.startswith(name)
    assert refusal.value.details is not None
    assert refusal.value.details["field"].startswith(name)


@contract("the schema is closed")
@pytest.mark.parametrize("name", ["createdAt", "updatedAt", "version"])
def test_what_the_server_counts_is_not_for_a_body(name: str) -> None:
    with pytest.raises(InvalidParameters, match=f"^{name} is set by the server") as refusal:
        build(**{name: 7})

    assert refusal.value.details == {"field": name}


@contract("an object belongs to its maker")
@pytest.mark.parametrize(("user_id", "claimed"), [("ann", "bob"), ("ann", None), (None, "ann")])
def test_nobody_creates_for_somebody_else(user_id: str | None, claimed: str | None) -> None:
    with pytest.raises(AccessDenied):
        build(user_id=user_id, userId=claimed)


@contract("values are checked")
def test_a_required_field_must_be_there() -> None:
    with pytest.raises(InvalidParameters, match=r"^title is required") as refusal:
        build_object(MODEL, {"points": 1}, app_id="app", user_id=None, now=7)

    assert refusal.value.details == {"field": "title", "rule": "required"}


def test_the_body_is_left_as_it_was() -> None:
    body = {"id": "1", "type": "task", "title": "t", "place": {"lat": 1}}
    before = copy.deepcopy(body)

    build_object(MODEL, body, app_id="app", user_id=None, now=7)

    assert body == before


@contract("what an object carries")
@pytest.mark.parametrize("id", ["a", "A.z_~-9", "...", "-", "a" * 128])
def test_an_id_may_stand_in_an_address_as_it_is(id: str) -> None:
    assert check_id(id) == id


@contract("what an object carries")
@pytest.mark.parametrize(
    "id", ["", ".", "..", "a/b", "a:b", "a#b", "a b", "é", "a\n", "%20", "a" * 129, 1, None, ["a"]]
)
def test_anything_else_is_no_id(id: Any) -> None:
    with pytest.raises(InvalidParameters, match=r"^place: ") as refusal:
        check_id(id, "place")

    assert refusal.value.details == {"field": "place", "rule": "id"}


@given(documents())
def test_what_was_accepted_is_accepted_again_unchanged(document: dict[str, Any]) -> None:
    body = {name: value for name, value in document.items() if name not in BUILT_IN}

    once = build_object(RICH_MODEL, body, app_id="app", user_id=None, now=7)
    check_object(RICH_MODEL, {**once, "version": 1})
    fields = {name: value for name, value in once.items() if name not in BUILT_IN}
    again = build_object(RICH_MODEL, fields | {"id": once["id"]}, app_id="app", user_id=None, now=7)

    assert repr(again) == repr(once)


def test_a_stored_int_is_fine_where_a_float_is_meant() -> None:
    check_object(MODEL, {**STORED, "title": "t", "place": {"lat": 1}})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "title"),
        ({"title": "t", "colour": "red"}, "colour"),
        ({"title": "t", "points": None}, "points"),
        ({"title": "t", "points": "1"}, "points"),
        ({"title": "t", "points": 1.0}, "points"),
        ({"title": "t", "due": "1970-01-02"}, "due"),
        ({"title": "t", "place": {"lat": 1.0, "lon": 1.0}}, "place.lon"),
    ],
)
def test_a_stored_object_must_be_valid_as_it_is(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidParameters, match=f"^{named}") as refusal:
        check_object(MODEL, {**STORED, **fields})

    assert refusal.value.details is not None
    assert refusal.value.details["field"] == named


@pytest.mark.parametrize("element", ["int", "date"])
def test_the_elements_of_stored_arrays_are_looked_at_too(element: str) -> None:
    model = compile_model("task", {"of": {"type": "array", "arrayType": element}})
    check_object(model, {**STORED, "of": [1, 2]})

    with pytest.raises(InvalidParameters, match=r"^of: the stored value is of another type"):
        check_object(model, {**STORED, "of": [1, 2.0]})


@pytest.mark.parametrize(
    ("path", "value"),
    [("a", {"b": {"c": 1}}), ("a.b.c", 1), ("a.x.c", None), ("a.b.c.d", None), ("x", None)],
)
def test_a_path_leads_to_a_value_or_to_none(path: str, value: Any) -> None:
    assert value_at({"a": {"b": {"c": 1}}}, path) == value


def test_an_id_tells_when_it_was_made() -> None:
    before = int(time.time() * 1000)
    made = time_of(new_id())
    assert before <= made <= int(time.time() * 1000)


@pytest.mark.parametrize("id", ["", "t1", "x" * 36, "zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz"])
def test_an_id_that_we_did_not_make_has_no_time(id: str) -> None:
    assert time_of(id) == 0
