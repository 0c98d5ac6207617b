"""Contract §2: a changed schema takes effect soon and must fit stored objects."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from client import Admin, assert_error
from documents import (
    SCHEMA,
    TASK,
    open_application,
)
from waiting import eventually

contract = partial(pytest.mark.contract, "2. Applications and schemas")


@contract("a change takes effect within 5 s, without downtime")
async def test_a_new_field_can_be_used_within_five_seconds(admin: Admin, new_client: Any) -> None:
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    old = await client.create("task", title="old")
    fields = {**TASK["fields"], "colour": {"type": "string", "filterable": True}}

    admin.put(app["id"], {"schema": {**SCHEMA, "task": {"fields": fields}}})

    async def accepted() -> bool:
        response = await client.write("POST", "/model/task", {"title": "x", "colour": "red"})
        return response.status_code == 201

    await eventually(accepted, patience=5)
    found = await client.search("task", filter={"colour": "red"})
    assert [item["colour"] for item in found] == ["red"]
    assert await client.search("task", filter={"colour": None}) == [old]


@contract("a change takes effect within 5 s, without downtime")
async def test_a_field_that_becomes_filterable_also_filters_old_objects(
    admin: Admin, new_client: Any
) -> None:
    schema = {"thing": {"fields": {"n": {"type": "int"}}}}
    app = admin.create(open_application(schema=schema))
    client = await new_client(app).register_device()
    things = [await client.create("thing", n=n) for n in range(5)]
    await client.refused("POST", "/model/thing/search", {"filter": {"n": 1}}, "n")

    admin.put(
        app["id"], {"schema": {"thing": {"fields": {"n": {"type": "int", "filterable": True}}}}}
    )

    async def found() -> bool:
        response = await client.send(
            "POST", "/model/thing/search", {"filter": {"n": {"gte": 3}}, "sort": ["-n"]}
        )
        return response.status_code == 200 and response.json()["data"]["items"] == things[:2:-1]

    await eventually(found, patience=5)


# Refused changes


@contract("a schema must fit what is stored")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"f": {"type": "string"}}, {"g": {"type": "string"}}),
        ({"f": {"type": "string", "nullable": True}}, {"f": {"type": "string"}}),
    ],
)
async def test_a_schema_that_invalidates_an_object_is_refused(
    admin: Admin, new_client: Any, before: Any, after: Any
) -> None:
    app = admin.create(open_application(schema={"thing": {"fields": before}}))
    client = await new_client(app).register_device()
    value = None if before["f"].get("nullable") else "text"
    thing = await client.create("thing", f=value)

    response = admin.http.put(
        f"/applications/{app['id']}", json={"schema": {"thing": {"fields": after}}}
    )

    assert_error(response, 400, "InvalidParametersException", thing["id"])
    assert await client.get("thing", thing["id"]) == thing
