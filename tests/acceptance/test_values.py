"""Contract §2: valid values of objects, and the fields that the server sets."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, assert_error, replace
from documents import (
    signed_application,
)

contract = partial(pytest.mark.contract, "2. Applications and schemas")

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


# Refused values


@contract("the schema is closed")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"titel": "x"}, "titel"),
        ({"steps": [{"text": "a", "txt": "b"}]}, "txt"),
        ({"__proto__": {}}, "__proto__"),
    ],
)
async def test_an_undeclared_field_is_named(client: NexxusClient, fields: Any, named: str) -> None:
    await client.refused("POST", "/model/task", {"title": "x", **fields}, named)


@contract("the schema is closed")
async def test_the_nearest_field_is_suggested_for_a_misspelt_one(client: NexxusClient) -> None:
    await client.refused("POST", "/model/task", {"titel": "x"}, "did you mean 'title'?")


@contract("values are validated")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", None),
        ("points", 2**53 + 1),
        ("dueDate", "2026-02-30"),
        ("tags", [1]),
        ("location", {"lat": "x"}),
        ("steps", [{"minutes": 1}]),
    ],
)
async def test_a_value_of_another_type_is_named(
    client: NexxusClient, field: str, value: Any
) -> None:
    await client.refused("POST", "/model/task", {"title": "x", field: value}, field)


@contract("values are validated")
@pytest.mark.parametrize("number", ["NaN", "1e999"])
async def test_nan_and_infinity_are_refused(client: NexxusClient, number: str) -> None:
    response = await client.send(
        "POST",
        "/model/task",
        headers={"Content-Type": "application/json"},
        content=f'{{"title": "x", "weight": {number}}}',
    )

    assert_error(response, 400, "InvalidParametersException")


# Stored values


@contract("dates")
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (1_700_000_000, 1_700_000_000),
        ("2023-11-14", 1_699_920_000),
        ("2023-11-15T00:13:20.999+02:00", 1_700_000_000),
    ],
)
async def test_a_date_is_stored_as_unix_seconds(
    client: NexxusClient, given: Any, stored: int
) -> None:
    task = await client.create("task", title="x", dueDate=given, steps=[{"text": "s", "at": given}])

    assert task["dueDate"] == stored
    assert task["steps"][0]["at"] == stored
    found = await client.search("task", filter={"id": task["id"], "dueDate": given})
    assert found == [task]


@contract("strings are stored unchanged")
@pytest.mark.parametrize("text", ["", "e\u0301", "\u0000", "𝄞", "x" * 10_000])
async def test_any_string_is_stored_unchanged(client: NexxusClient, text: str) -> None:
    task = await client.create("task", title=text, tags=[text])

    assert task["title"] == text
    assert await client.get("task", task["id"]) == task
    assert await client.search("task", filter={"id": task["id"], "title": text}) == [task]


# Fields that the server sets


@contract("the fields that the server sets")
async def test_an_object_has_the_fields_that_the_server_sets(
    client: NexxusClient, app: Any
) -> None:
    task = await client.create("task", title="x", points=1)

    assert set(task) == {
        *("id", "type", "appId", "createdAt", "updatedAt", "version"),
        *("title", "points"),
    }
    assert UUID7.fullmatch(task["id"])
    assert task["type"] == "task"
    assert task["appId"] == app["id"]
    assert task["version"] == 1
    assert type(task["createdAt"]) is type(task["updatedAt"]) is int
    assert task["createdAt"] == task["updatedAt"]


@contract("the fields that the server sets")
async def test_versions_count_the_writes_of_one_object(client: NexxusClient) -> None:
    task = await client.create("task", title="x")

    for expected in (2, 3, 4):
        task = await client.update("task", task["id"], replace(points=expected))
        assert task["version"] == expected
        assert task["updatedAt"] >= task["createdAt"]
    assert (await client.delete("task", task["id"]))["version"] == 5


@contract("the fields that the server sets")
@pytest.mark.parametrize("id", ["A.b_c~d-e", "0" * 128])
async def test_an_id_may_be_chosen(client: NexxusClient, id: str) -> None:
    task = await client.create("note", id=id, text="x")

    assert task["id"] == id
    assert await client.get("note", id) == task
    assert (await client.update("note", id, replace(stars=1)))["version"] == 2
    await client.delete("note", id)


@contract("an object belongs to its creator")
async def test_an_object_belongs_to_the_user_who_creates_it(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    ann = await new_client(app).register_user("ann")
    bob = await new_client(app).register_user("bob")

    task = await ann.create("task", title="x")
    assert task["userId"] == ann.user_id
    repeated = await ann.create("task", title="y", userId=ann.user_id)
    assert repeated["userId"] == ann.user_id
    await bob.refused(
        "POST",
        "/model/task",
        {"title": "z", "userId": ann.user_id},
        status=403,
        error="AccessDeniedException",
    )
    changed = await bob.update("task", task["id"], replace(points=1))
    assert changed["userId"] == ann.user_id
