"""Contract §5: channels, their events, and their convergence."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, replace, unique
from documents import open_application

contract = partial(pytest.mark.contract, "5. Subscriptions")


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    return await (await new_client(app).register_device()).connect()  # type: ignore[no-any-return]


@pytest.fixture
async def writer(app: Any, new_client: Any) -> NexxusClient:
    return await new_client(app).register_device()  # type: ignore[no-any-return]


# Subscribing


@contract("subscribing returns the first page")
async def test_subscribing_returns_the_channel_and_the_first_page(
    client: NexxusClient, writer: NexxusClient
) -> None:
    status = unique("s")
    tasks = [await writer.create("task", title=str(n), status=status, points=n) for n in range(5)]

    answer = await client.ok(
        "POST",
        "/subscription/",
        {
            "model": "task",
            "filter": {"status": status},
            "sort": ["-points"],
            "limit": 2,
            "offset": 1,
        },
    )

    assert {"channelId", "items"} <= answer["data"].keys()
    assert answer["data"]["items"] == [tasks[3], tasks[2]]


@contract("the first page has a cursor while more follow")
async def test_what_follows_the_first_page_is_read_with_its_cursor(
    client: NexxusClient, writer: NexxusClient
) -> None:
    status = unique("s")
    tasks = [await writer.create("task", title=str(n), status=status) for n in range(5)]
    descriptor = {"model": "task", "filter": {"status": status}, "limit": 2}

    first = (await client.ok("POST", "/subscription/", descriptor))["data"]
    rest = {**descriptor, "cursor": first["cursor"], "getOnly": True}
    second = (await client.ok("POST", "/subscription/", rest))["data"]
    query = {"filter": {"status": status}, "cursor": second["cursor"]}
    third = (await client.ok("POST", "/model/task/search", query))["data"]

    assert [*first["items"], *second["items"], *third["items"]] == tasks
    assert "cursor" not in third
    await client.refused("POST", "/subscription/", {**rest, "getOnly": False}, status=400)


@contract("getOnly reads without subscribing")
async def test_get_only_returns_only_the_items_and_needs_no_connection(
    writer: NexxusClient,
) -> None:
    status = unique("s")
    task = await writer.create("task", title="x", status=status)

    body = {"model": "task", "filter": {"status": status}, "getOnly": True}
    answer = await writer.ok("POST", "/subscription/", body)

    assert answer == {"data": {"items": [task]}}
    assert (await writer.ok("GET", "/device"))["subscriptions"] == []


@contract("subscribing needs a connection")
async def test_a_device_without_a_connection_cannot_subscribe(writer: NexxusClient) -> None:
    await writer.refused(
        "POST",
        "/subscription/",
        {"model": "task"},
        status=409,
        error="DeviceNotConnectedException",
    )


@contract("unsubscribing")
async def test_unsubscribing_names_the_channel_and_stops_its_events(
    client: NexxusClient, writer: NexxusClient
) -> None:
    task = await writer.create("task", title="x", status=unique("s"))
    view = await client.subscribe("task", filter={"status": task["status"]})
    await client.subscribe("task", id=task["id"])

    await client.unsubscribe(view)
    await writer.update("task", task["id"], replace(points=1))

    frame = await client.told(task["id"], 2)
    assert view.channel_id not in frame["data"]["metadata"]["channels"]


@contract("unsubscribing")
async def test_unsubscribing_without_a_subscription_is_not_found(
    client: NexxusClient,
) -> None:
    view = await client.subscribe("task", filter={"points": 1})
    await client.unsubscribe(view)

    for descriptor in (view.descriptor, {"model": "task", "filter": {"points": 2}}):
        await client.refused(
            "DELETE", "/subscription/", descriptor, status=404, error="NotFoundException"
        )


@contract("an invalid descriptor is refused")
@pytest.mark.parametrize(
    ("descriptor", "named"),
    [
        ({}, "model"),
        ({"model": 7}, "model"),
        ({"model": "task", "id": 7}, "id"),
        ({"model": "task", "id": "a b"}, "id"),
        ({"model": "task", "id": "x", "userId": "y"}, "userId"),
        ({"model": "task", "userId": "y"}, "userId"),
        ({"model": "task", "filter": []}, "filter"),
        ({"model": "task", "limit": 0}, "limit"),
        ({"model": "task", "getOnly": "yes"}, "getOnly"),
        ({"model": "task", "sort": ["notes"]}, "sort"),
    ],
)
async def test_an_invalid_descriptor_is_refused(
    client: NexxusClient, descriptor: Any, named: str
) -> None:
    await client.refused("POST", "/subscription/", descriptor, named)

    assert (await client.ok("GET", "/device"))["subscriptions"] == []


@contract("an invalid descriptor is refused")
async def test_an_unknown_model_cannot_be_subscribed_to(client: NexxusClient) -> None:
    await client.refused(
        "POST", "/subscription/", {"model": "ufo"}, status=404, error="ModelNotFoundException"
    )


@contract("subscribing twice is one subscription")
async def test_subscribing_twice_is_one_subscription_and_a_new_page(
    client: NexxusClient, writer: NexxusClient
) -> None:
    status = unique("s")
    body = {"model": "task", "filter": {"status": status}}
    first = await client.ok("POST", "/subscription/", body)
    task = await writer.create("task", title="x", status=status)

    second = await client.ok("POST", "/subscription/", body)

    assert second["data"] == {"channelId": first["data"]["channelId"], "items": [task]}
    await writer.update("task", task["id"], replace(points=1))
    frame = await client.told(task["id"], 2)
    assert frame["data"]["metadata"]["channels"] == [first["data"]["channelId"]]
    await client.ok("DELETE", "/subscription/", body)
    await client.refused("DELETE", "/subscription/", body, status=404, error="NotFoundException")


@contract("limits: subscriptions of a device")
async def test_a_device_has_at_most_a_thousand_subscriptions(client: NexxusClient) -> None:
    last = 1000

    async def subscribe(n: int) -> Any:
        return await client.socket.request("subscribe", {"model": "task", "id": f"o{n}"})

    for start in range(0, last, 100):
        replies = await asyncio.gather(*(subscribe(n) for n in range(start, start + 100)))
        assert {reply["status"] for reply in replies} == {200}
    refused = await subscribe(last)
    assert refused["status"] == 400
    assert refused["error"]["error"] == "InvalidParametersException"
    assert (await subscribe(0))["status"] == 200  # one of the existing ones
    await client.ok("DELETE", "/subscription/", {"model": "task", "id": "o1"})
    assert (await subscribe(last))["status"] == 200


# Channel ids


@contract("the id of a channel")
async def test_a_channels_id_names_its_parts(signed: Any, new_client: Any) -> None:
    user = await new_client(signed).register_user(unique("ann"))
    await user.connect()
    base = f"nxx:subscription:{signed['id']}:task"

    assert (await user.subscribe("task")).channel_id == base
    assert (await user.subscribe("task", id="a-b.c")).channel_id == f"{base}:a-b.c"
    owned = await user.subscribe("task", userId=user.user_id)
    assert owned.channel_id == f"{base}:user:{user.user_id}"
    filtered = await user.subscribe("task", id="x", filter={"points": 1})
    prefix, _, digest = filtered.channel_id.rpartition(":")
    assert prefix == f"{base}:x:filter"
    assert len(digest) == 16
    assert set(digest) <= set("0123456789abcdef")
    both = await user.subscribe("task", userId=user.user_id, filter={"points": 1})
    assert both.channel_id == f"{base}:user:{user.user_id}:filter:{digest}"


# Isolation


@contract("tenants are isolated")
async def test_events_stay_within_the_application(
    client: NexxusClient, admin: Admin, new_client: Any
) -> None:
    stranger = await new_client(admin.create(open_application())).register_device()
    view = await client.subscribe("task", id="shared-id", limit=5)

    await stranger.create("task", id="shared-id", title="theirs")
    await client.create("task", id="shared-id", title="ours")
    frame = await client.told("shared-id", 1)

    assert frame["data"]["model"]["appId"] == client.app_id
    await client.converged(view)
