"""Contract §1, §4, §6 (2): what clients of the first edition send, and what they can take."""

from __future__ import annotations

from typing import Any

import pytest
from client import Admin, NexxusClient, replace, unique
from connection import JSON, MSGPACK
from documents import open_application

contract = pytest.mark.contract


@pytest.fixture
def writer(app: Any, new_client: Any) -> NexxusClient:
    """A client without a device."""
    client: NexxusClient = new_client(app)
    return client


async def task_seen(client: NexxusClient, writer: NexxusClient, **fields: Any) -> Any:
    """A stored task that the connected client follows."""
    task = await writer.create("task", **{"title": "x", **fields})
    await client.connect()
    await client.subscribe("task", id=task["id"])
    return task


@contract("6. WebSocket", "an update that unsets a field is sent as model_created")
async def test_an_update_that_unsets_a_field_brings_the_whole_object(
    client: NexxusClient, writer: NexxusClient
) -> None:
    task = await task_seen(client, writer, points=3, tags=["a"])

    patch = [{"op": "remove", "path": ["points"]}, replace(title="y")]
    await writer.ok("PUT", f"/model/task/{task['id']}", {"patch": patch}, status=202)

    frame = await client.wait_for("model_created")
    assert frame["data"]["model"] == await writer.get("task", task["id"])
    assert "points" not in frame["data"]["model"]


@contract("6. WebSocket", "updates are sent as replace, append, prepend, incr and decr only")
async def test_elements_are_sent_one_by_one_in_the_order_that_gives_the_stored_array(
    client: NexxusClient, writer: NexxusClient
) -> None:
    task = await task_seen(client, writer, tags=["m"])

    patch = [
        {"op": "append", "path": "tags", "value": ["y", "z"]},
        {"op": "prepend", "path": "tags", "value": ["a", "b"]},
    ]
    await writer.ok("PUT", f"/model/task/{task['id']}", {"patch": patch}, status=202)

    frame = await client.wait_for("model_updated")
    grown = [each for each in frame["data"]["patches"] if each["path"] == ["tags"]]
    assert [(each["op"], each["value"]) for each in grown] == [
        ("append", ["y"]),
        ("append", ["z"]),
        ("prepend", ["b"]),
        ("prepend", ["a"]),
    ]
    assert (await writer.get("task", task["id"]))["tags"] == ["a", "b", "m", "y", "z"]


@contract("4. Models", "arrays take bare values, eq, ne, in and nin")
async def test_an_array_is_filtered_by_its_elements(writer: NexxusClient) -> None:
    mark = unique("m")
    for tags in (["urgent", mark], ["late", mark], [mark]):
        await writer.create("task", title=",".join(tags), tags=tags)

    async def found(condition: Any) -> set[str]:
        query = {"$and": [{"tags": mark}, {"tags": condition}]}
        page = await writer.ok("POST", "/model/task/search", {"filter": query})
        return {item["title"].replace(mark, "") for item in page["data"]["items"]}

    assert await found("urgent") == {"urgent,"}
    assert await found({"eq": "urgent"}) == {"urgent,"}
    assert await found({"ne": "urgent"}) == {"late,", ""}
    assert await found({"in": ["urgent", "late"]}) == {"urgent,", "late,"}
    assert await found({"nin": ["urgent", "late"]}) == {""}


@contract(
    "1. Tenancy and headers",
    "what reused descriptors have too much is ignored when unsubscribing and counting",
)
async def test_a_descriptor_may_be_reused_as_it_is(client: NexxusClient) -> None:
    await client.connect()
    descriptor = {"model": "task", "filter": {"status": unique("s")}, "limit": 50, "offset": 0}
    await client.ok("POST", "/subscription/", descriptor)

    await client.ok("DELETE", "/subscription/", descriptor)
    count = {"type": "task", "filter": descriptor["filter"], "limit": 5, "sort": ["points"]}
    assert (await client.ok("POST", "/model/count", count))["data"]["count"] == 0


@contract("1. Tenancy and headers", "the metadata of older patches is ignored")
async def test_metadata_in_a_patch_is_ignored(writer: NexxusClient) -> None:
    task = await writer.create("task", title="x")
    patch = {**replace(title="y"), "metadata": {"appId": "other", "id": task["id"]}}

    await writer.ok("PUT", f"/model/task/{task['id']}", {"patch": patch}, status=202)


@contract("6. WebSocket", "ping is answered by pong")
@pytest.mark.parametrize("protocol", [JSON, MSGPACK])
async def test_a_ping_is_answered_at_any_time(client: NexxusClient, protocol: Any) -> None:
    await client.connect(protocol=protocol)

    await client.socket.send("ping", {})
    assert (await client.wait_for("pong"))["data"] == {}
    await client.socket.send("ping", {"loud": True})
    assert "loud" in (await client.wait_for("error"))["data"]["message"]


@contract("4. Models", "a cursor of another application is refused")
async def test_a_cursor_belongs_to_its_application(
    writer: NexxusClient, admin: Admin, new_client: Any
) -> None:
    other = new_client(admin.create(open_application()))
    for _ in range(2):
        await writer.create("task", title="x")
    query = {"limit": 1}
    cursor = (await writer.ok("POST", "/model/task/search", query))["data"]["cursor"]

    await other.refused("POST", "/model/task/search", {**query, "cursor": cursor}, "cursor")


@contract("2. Applications and schemas", "a date beyond the year 9999 is refused")
async def test_milliseconds_are_no_date(writer: NexxusClient) -> None:
    body = {"title": "x", "dueDate": 1_700_000_000_000}

    await writer.refused("POST", "/model/task", body, "dueDate", "milliseconds")


@contract("1. Tenancy and headers", "limits on filters count what was spelled")
async def test_lists_that_become_one_are_counted_one_by_one(
    client: NexxusClient, writer: NexxusClient
) -> None:
    mark = unique("s")
    values = [f"{mark}-{number}" for number in range(1_200)]
    either = {"$or": [{"status": {"in": values[:600]}}, {"status": {"in": values[600:]}}]}
    await client.connect()

    view = await client.subscribe("task", filter=either)
    await writer.create("task", title="x", status=values[1_100])

    await client.converged(view)
    assert len(view.items) == 1
    counted = await writer.ok("POST", "/model/count", {"type": "task", "filter": either})
    assert counted["data"] == {"count": 1}


@contract("6. WebSocket", "invalid frames are errors")
async def test_a_frame_that_cannot_be_decoded_is_answered_by_its_ref(client: NexxusClient) -> None:
    await client.connect()

    broken = '{"event": "create", "ref": "7", "data": {"type": "task", "title": "\\ud800"}}'
    await client.socket.send_raw(broken)

    reply = await client.wait_for("reply")
    assert (reply["ref"], reply["data"]["status"]) == ("7", 400)


@contract("2. Applications and schemas", "values are validated")
async def test_a_number_that_json_lacks_is_named(client: NexxusClient) -> None:
    await client.connect(protocol=MSGPACK)

    reply = await client.socket.request(
        "create", {"type": "task", "title": "x", "points": float("nan")}
    )

    assert reply["status"] == 400
    assert reply["error"]["details"]["field"] == "points"
