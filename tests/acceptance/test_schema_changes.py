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


def with_field(**definition: Any) -> Any:
    return open_application(schema={"thing": {"fields": {"f": definition}}})


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


@contract("a schema must fit what is stored")
async def test_an_int_may_become_a_float(admin: Admin, new_client: Any) -> None:
    app = admin.create(with_field(type="int", filterable=True))
    client = await new_client(app).register_device()
    await client.create("thing", f=1)

    admin.put(app["id"], with_field(type="float", filterable=True) | {"id": app["id"]})

    async def accepted() -> bool:
        return (await client.write("POST", "/model/thing", {"f": 1.5})).status_code == 201

    await eventually(accepted, patience=5)
    assert await client.count("thing", filter={"f": {"gt": 0.5}}) == 2


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


@contract("a schema must fit what is stored")
@pytest.mark.parametrize(("kind", "value", "other"), [("date", 1_700_000_000, {"type": "int"})])
async def test_a_number_cannot_become_a_date_or_a_date_a_number(
    admin: Admin, new_client: Any, kind: str, value: Any, other: Any
) -> None:
    def schema(field: Any) -> Any:
        inner = {"type": "object", "properties": {"f": field}}
        many = {"type": "array", "arrayType": "object", "properties": {"f": field}}
        return {"thing": {"fields": {"one": inner, "many": many}}}

    app = admin.create(open_application(schema=schema({"type": kind})))
    client = await new_client(app).register_device()
    put = partial(admin.http.put, f"/applications/{app['id']}")
    thing = await client.create("thing", one={"f": value})
    assert_error(
        put(json={"schema": schema(other)}), 400, "InvalidParametersException", thing["id"]
    )

    await client.delete("thing", thing["id"])
    more = await client.create("thing", many=[{"f": value}])
    assert_error(put(json={"schema": schema(other)}), 400, "InvalidParametersException", more["id"])
    await client.delete("thing", more["id"])
    assert put(json={"schema": schema(other)}).status_code == 200


@contract("a schema must fit what is stored")
async def test_a_model_with_objects_cannot_be_removed(admin: Admin, new_client: Any) -> None:
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    note = await client.create("note", text="x")

    schema = {name: model for name, model in SCHEMA.items() if name != "note"}
    response = admin.http.put(f"/applications/{app['id']}", json={"schema": schema})

    assert_error(response, 400, "InvalidParametersException", note["id"])
