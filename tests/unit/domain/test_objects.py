"""Objects: what a create builds, and whether a stored object is valid."""

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


@contract("the fields that the server sets")
def test_the_server_sets_the_built_in_fields_and_the_body_the_others() -> None:
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


def test_an_object_created_without_a_user_has_no_user_id() -> None:
    assert "userId" not in build(user_id=None)


def test_a_missing_id_is_generated() -> None:
    one, other = build()["id"], build()["id"]

    assert uuid.UUID(one).version == 7
    assert one != other


def test_generated_ids_sort_by_time() -> None:
    made = [new_id() for _ in range(100)]

    assert made == sorted(made)


def test_a_body_may_repeat_the_type_the_application_and_the_user() -> None:
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
def test_a_body_that_contradicts_the_server_is_refused_by_field(name: str, value: Any) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        build(**{name: value})

    assert refusal.value.message.startswith(name)
    assert refusal.value.details is not None
    assert refusal.value.details["field"].startswith(name)


@contract("the schema is closed")
@pytest.mark.parametrize("name", ["createdAt", "updatedAt", "version"])
def test_a_body_cannot_set_the_times_or_the_version(name: str) -> None:
    with pytest.raises(InvalidParameters, match=f"^{name} is set by the server") as refusal:
        build(**{name: 7})

    assert refusal.value.details == {"field": name}


@contract("an object belongs to its creator")
@pytest.mark.parametrize(("user_id", "claimed"), [("ann", "bob"), ("ann", None), (None, "ann")])
def test_a_user_cannot_create_objects_for_another_user(
    user_id: str | None, claimed: str | None
) -> None:
    with pytest.raises(AccessDenied):
        build(user_id=user_id, userId=claimed)


@contract("values are validated")
def test_a_required_field_must_be_present() -> None:
    with pytest.raises(InvalidParameters, match=r"^title is required") as refusal:
        build_object(MODEL, {"points": 1}, app_id="app", user_id=None, now=7)

    assert refusal.value.details == {"field": "title", "rule": "required"}


def test_the_body_is_not_modified() -> None:
    body = {"id": "1", "type": "task", "title": "t", "place": {"lat": 1}}
    before = copy.deepcopy(body)

    build_object(MODEL, body, app_id="app", user_id=None, now=7)

    assert body == before


@contract("the fields that the server sets")
@pytest.mark.parametrize("id", ["a", "A.z_~-9", "...", "-", "a" * 128])
def test_an_id_needs_no_escaping_in_a_url(id: str) -> None:
    assert check_id(id) == id


@contract("the fields that the server sets")
@pytest.mark.parametrize(
    "id", ["", ".", "..", "a/b", "a:b", "a#b", "a b", "é", "a\n", "%20", "a" * 129, 1, None, ["a"]]
)
def test_any_other_id_is_refused(id: Any) -> None:
    with pytest.raises(InvalidParameters, match=r"^place: ") as refusal:
        check_id(id, "place")

    assert refusal.value.details == {"field": "place", "rule": "id"}


@given(documents())
def test_an_accepted_object_is_accepted_again_unchanged(document: dict[str, Any]) -> None:
    body = {name: value for name, value in document.items() if name not in BUILT_IN}

    once = build_object(RICH_MODEL, body, app_id="app", user_id=None, now=7)
    check_object(RICH_MODEL, {**once, "version": 1})
    fields = {name: value for name, value in once.items() if name not in BUILT_IN}
    again = build_object(RICH_MODEL, fields | {"id": once["id"]}, app_id="app", user_id=None, now=7)

    assert repr(again) == repr(once)


def test_a_stored_int_is_valid_in_a_float_field() -> None:
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
def test_a_stored_object_must_be_valid_without_conversion(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidParameters, match=f"^{named}") as refusal:
        check_object(MODEL, {**STORED, **fields})

    assert refusal.value.details is not None
    assert refusal.value.details["field"] == named


@pytest.mark.parametrize("element", ["int", "date"])
def test_the_elements_of_stored_arrays_are_validated_too(element: str) -> None:
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
