"""Contract §2: an application's schema and its models."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, replace
from documents import (
    open_application,
)

contract = partial(pytest.mark.contract, "2. Applications and schemas")


def with_field(**definition: Any) -> Any:
    return open_application(schema={"thing": {"fields": {"f": definition}}})


# Names


@contract("names of models and fields")
@pytest.mark.parametrize("name", ["1st", "größe"])
async def test_a_model_or_field_with_an_invalid_name_is_refused(admin: Admin, name: str) -> None:
    field = {"type": "string"}

    admin.refused(open_application(schema={name: {"fields": {"f": field}}}))
    admin.refused(open_application(schema={"thing": {"fields": {name: field}}}))
    inside = {"type": "object", "properties": {name: field}}
    admin.refused(open_application(schema={"thing": {"fields": {"f": inside}}}))


# Fields


@contract("field types")
async def test_number_is_a_synonym_for_float(admin: Admin, new_client: Any) -> None:
    app = admin.create(with_field(type="number", filterable=True))
    client = await new_client(app).register_device()

    thing = await client.create("thing", f=1.5)
    assert await client.search("thing", filter={"f": {"gt": 1}}) == [thing]


@contract("the short form of a model")
async def test_a_model_may_be_written_as_its_fields_only(client: NexxusClient) -> None:
    note = await client.create("note", text="short", stars=4)

    assert await client.search("note", filter={"stars": 4}) == [note]


# Models


@contract("transient models")
async def test_an_object_of_a_transient_model_is_never_stored(client: NexxusClient) -> None:
    response = await client.write("POST", "/model/cursor", {"x": 1}, wait=False)

    assert response.status_code == 202, response.text
    assert set(response.json()["data"]) == {"id", "type"}
    object_id = response.json()["data"]["id"]
    await client.refused("GET", f"/model/cursor/{object_id}")
    await client.refused("PUT", f"/model/cursor/{object_id}", {"patch": replace(x=2)})
    await client.refused("DELETE", f"/model/cursor/{object_id}")
    await client.refused("POST", "/model/cursor/search", {})
    await client.refused("POST", "/model/count", {"type": "cursor"})


@contract("models that are not subscribable")
async def test_a_model_that_is_not_subscribable_can_be_searched_by_any_primitive(
    client: NexxusClient,
) -> None:
    line = await client.create("log", line="started", level=3)

    assert await client.search("log", filter={"line": "started", "level": {"gte": 3}}) == [line]
    await client.connect()
    await client.refused("POST", "/subscription/", {"model": "log"})
