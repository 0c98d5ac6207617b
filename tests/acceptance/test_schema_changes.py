"""Contract §2: a changed schema takes effect soon and must fit stored objects."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from client import Admin, assert_error
from documents import (
    NOTE,
    SCHEMA,
    TASK,
    open_application,
)
from waiting import eventually

contract = partial(pytest.mark.contract, "2. Applications and schemas")

STATUS = {"status": {"type": "string", "filterable": True}}
PLAIN = {"status": {"type": "string"}}


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


@pytest.mark.contract("5. Subscriptions", "a subscription that ends is told as unsubscribed")
@pytest.mark.parametrize(
    ("task", "error"),
    [
        ({"fields": PLAIN}, "InvalidParametersException"),
        ({"fields": STATUS, "subscribable": False}, "InvalidParametersException"),
        (None, "ModelNotFoundException"),
    ],
)
async def test_a_channel_that_the_new_schema_ends_is_told(
    admin: Admin, new_client: Any, task: Any, error: str
) -> None:
    app = admin.create(open_application(schema={"task": {"fields": STATUS}, "note": NOTE}))
    client = await (await new_client(app).register_device()).connect()
    view = await client.subscribe("task", filter={"status": "open"}, limit=10)
    other = await client.subscribe("note", limit=10)

    admin.put(app["id"], {"schema": {"note": NOTE, **({} if task is None else {"task": task})}})

    ended = await client.wait_for("unsubscribed")
    assert ended["data"]["channels"] == [view.channel_id]
    assert ended["data"]["error"] == error
    note = await client.create("note", text="x")
    await eventually(lambda: note["id"] in other.items)


@pytest.mark.contract("5. Subscriptions", "a subscription that ends is told as unsubscribed")
async def test_a_device_that_was_away_when_its_channel_ended_gets_a_resync_without_it(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application(schema={"task": {"fields": STATUS}, "note": NOTE}))
    client = await (await new_client(app).register_device()).connect()
    # Without a view: the client would subscribe again to what it finds has ended.
    await client.ok("POST", "/subscription/", {"model": "task", "filter": {"status": "open"}})
    other = await client.subscribe("note", limit=10)
    await client.drop()

    admin.put(app["id"], {"schema": {"task": {"fields": PLAIN}, "note": NOTE}})

    async def has_ended() -> bool:
        return (await client.ok("GET", "/device"))["subscriptions"] == [other.channel_id]

    await eventually(has_ended)
    await client.connect(resume=True)
    resync = await client.wait_for("resync")
    assert resync["data"]["channels"] == [other.channel_id]
