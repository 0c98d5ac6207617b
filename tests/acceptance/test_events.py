"""Contract §5: the events of a channel."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from client import NexxusClient, by_model, replace, unique
from waiting import eventually

contract = partial(pytest.mark.contract, "5. Subscriptions")


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    return await (await new_client(app).register_device()).connect()  # type: ignore[no-any-return]


@pytest.fixture
async def writer(app: Any, new_client: Any) -> NexxusClient:
    return await new_client(app).register_device()  # type: ignore[no-any-return]


def events(client: NexxusClient, object_id: str) -> list[tuple[str, int]]:
    """The events that a connection received about an object: kind and version, in order."""
    frames = by_model(client.socket.frames)[object_id]
    return [(f["event"], f["data"]["model"]["version"]) for f in frames]


@contract("the content of events")
async def test_a_create_an_update_and_a_delete_are_sent(
    client: NexxusClient, writer: NexxusClient
) -> None:
    view = await client.subscribe("task")
    task = await writer.create("task", title="x")
    created = await client.told(task["id"], 1)
    assert created["event"] == "model_created"
    assert created["data"]["model"] == task
    assert created["data"]["metadata"]["channels"] == [view.channel_id]

    await writer.update("task", task["id"], replace(points=1))
    updated = await client.told(task["id"], 2)
    assert updated["event"] == "model_updated"
    assert updated["data"]["model"] == {
        "id": task["id"],
        "type": "task",
        "appId": client.app_id,
        "version": 2,
    }

    await writer.delete("task", task["id"])
    deleted = await client.told(task["id"], 3)
    assert deleted["event"] == "model_deleted"
    assert deleted["data"]["reason"] == "deleted"
    assert set(deleted["data"]["model"]) == {"id", "type", "appId", "version"}


@contract("the content of events")
async def test_an_event_names_the_owner(signed: Any, new_client: Any) -> None:
    user = await new_client(signed).register_user(unique("ann"))
    await user.connect()
    await user.subscribe("task")

    task = await user.create("task", title="x")
    await user.update("task", task["id"], replace(points=1))
    await user.delete("task", task["id"])

    for version in (1, 2, 3):
        frame = await user.told(task["id"], version)
        assert frame["data"]["model"]["userId"] == user.user_id


@contract("entering and leaving a filter")
async def test_an_object_that_starts_to_match_is_created_and_one_that_stops_is_deleted(
    client: NexxusClient, writer: NexxusClient
) -> None:
    view = await client.subscribe("task", filter={"points": {"gte": 5}}, limit=5000)
    task = await writer.create("task", title="x", points=1)

    entered = await writer.update("task", task["id"], replace(points=5))
    frame = await client.told(task["id"], 2)
    assert frame["event"] == "model_created"
    assert frame["data"]["model"] == entered

    await writer.update("task", task["id"], replace(points=6))
    assert (await client.told(task["id"], 3))["event"] == "model_updated"

    await writer.update("task", task["id"], replace(points=0))
    frame = await client.told(task["id"], 4)
    assert frame["event"] == "model_deleted"
    assert frame["data"]["reason"] == "left"

    await writer.update("task", task["id"], {"op": "remove", "path": "points"})
    await writer.update("task", task["id"], replace(points=9))
    assert (await client.told(task["id"], 6))["event"] == "model_created"
    assert [version for _, version in events(client, task["id"])] == [2, 3, 4, 6]
    await client.converged(view)


@contract("one write, one frame of each kind")
async def test_one_write_may_be_three_kinds_of_event_with_one_frame_each(
    client: NexxusClient, writer: NexxusClient
) -> None:
    every = await client.subscribe("task")
    low = [
        await client.subscribe("task", filter={"points": {"lt": 5}, "status": s})
        for s in ("a", "b")
    ]
    below = await client.subscribe("task", filter={"points": {"lt": 5}})
    above = await client.subscribe("task", filter={"points": {"gte": 5}})
    one = unique("one")
    single = await client.subscribe("task", id=one)
    await writer.create("task", id=one, title="x", points=1, status="a")
    await client.told(one, 1)

    await writer.update("task", one, replace(points=9))
    await writer.update("task", one, replace(title="sentinel"))
    await client.told(one, 3)

    frames = [f for f in by_model(client.socket.frames)[one] if f["data"]["model"]["version"] == 2]
    told_to = {f["event"]: set(f["data"]["metadata"]["channels"]) for f in frames}
    assert len(frames) == 3
    assert told_to == {
        "model_created": {above.channel_id},
        "model_updated": {every.channel_id, single.channel_id},
        "model_deleted": {below.channel_id, low[0].channel_id},
    }
    await client.converged()


@contract("channels of one object and of one user")
async def test_an_object_may_be_subscribed_to_before_it_exists(
    client: NexxusClient, writer: NexxusClient
) -> None:
    future = unique("future~1")  # any character that an id may have
    view = await client.subscribe("task", id=future, filter={"points": 1}, limit=10)
    assert view.items == {}

    await writer.create("task", id=future, title="x", points=0)
    await writer.update("task", future, replace(points=1))
    await writer.create("task", title="another", points=1)
    await writer.update("task", future, replace(title="y"))
    await client.told(future, 3)

    assert events(client, future) == [("model_created", 2), ("model_updated", 3)]
    await client.converged(view)


@contract("channels of one object and of one user")
async def test_a_users_channel_has_that_users_objects(signed: Any, new_client: Any) -> None:
    ann = await new_client(signed).register_user(unique("ann"))
    bob = await new_client(signed).register_user(unique("bob"))
    await ann.connect()
    view = await ann.subscribe("task", userId=bob.user_id, limit=100)

    theirs = await bob.create("task", title="his")
    mine = await ann.create("task", title="hers")
    await bob.update("task", theirs["id"], replace(points=1))
    await ann.told(theirs["id"], 2)

    assert events(ann, mine["id"]) == []
    await ann.converged(view)
    assert set(view.items) == {theirs["id"]}


@contract("the writing device receives its events too")
async def test_the_writing_device_receives_its_events_like_the_others(client: NexxusClient) -> None:
    view = await client.subscribe("task", limit=5000)

    task = await client.create("task", title="x")

    await client.told(task["id"], 1)
    await client.converged(view)


@contract("transient models")
async def test_a_transient_object_is_only_pushed(
    client: NexxusClient, writer: NexxusClient
) -> None:
    answer = await client.ok("POST", "/subscription/", {"model": "cursor", "filter": {"who": "a"}})
    assert answer["data"]["items"] == []

    await writer.write("POST", "/model/cursor", {"x": 1, "who": "b"})
    await writer.write("POST", "/model/cursor", {"x": 2, "who": "a"})

    frame = await client.wait_for("model_created")
    assert frame["data"]["model"]["x"] == 2
    assert "version" not in frame["data"]["model"]
    assert frame["data"]["metadata"]["channels"] == [answer["data"]["channelId"]]


@contract("an object's events arrive in version order")
async def test_a_burst_of_writes_is_sent_in_order(
    client: NexxusClient, writer: NexxusClient
) -> None:
    view = await client.subscribe("task", limit=5000)
    burst = unique("burst")
    await writer.create("task", id=burst, title="x", points=0, wait=False)
    patch = {"op": "incr", "path": "points", "value": 1}

    for _ in range(60):
        await writer.update("task", burst, patch, wait=False)

    await client.told(burst, 61)
    assert [version for _, version in events(client, burst)] == list(range(1, 62))
    await client.converged(view)


@contract("no gap")
@pytest.mark.parametrize("over", ["http", "socket"])
async def test_objects_written_while_the_subscription_is_made_are_not_missed(
    client: NexxusClient, writer: NexxusClient, over: str
) -> None:
    status = unique("s")

    async def write(number: int) -> None:
        await writer.create("task", title=str(number), status=status, wait=False)

    writes = [asyncio.create_task(write(number)) for number in range(40)]
    views = [
        await client.subscribe(
            "task", over=over, filter={"status": status, "points": {"ne": number}}, limit=5000
        )
        for number in range(12)
    ]
    await asyncio.gather(*writes)

    async def all_stored() -> bool:
        return await writer.count("task", filter={"status": status}) == 40

    await eventually(all_stored)
    await client.converged()
    assert all(view.complete for view in views)


@contract("a gap is closed by reading through the channel")
async def test_an_object_beyond_the_first_page_joins_the_view_with_its_first_event(
    client: NexxusClient, writer: NexxusClient
) -> None:
    status = unique("s")
    tasks = [await writer.create("task", title=str(n), status=status, points=n) for n in range(5)]
    view = await client.subscribe("task", filter={"status": status}, sort=["points"], limit=2)
    assert list(view.items) == [task["id"] for task in tasks[:2]]

    await writer.update("task", tasks[4]["id"], replace(points=9))
    await client.told(tasks[4]["id"], 2)
    await client.settled()

    assert view.rereads == 1
    assert set(view.items) == {tasks[0]["id"], tasks[1]["id"], tasks[4]["id"]}
    await client.converged(view)


@contract("a late event never undoes a newer object")
async def test_an_object_created_again_has_a_newer_version(
    client: NexxusClient, writer: NexxusClient
) -> None:
    view = await client.subscribe("task", limit=5000)
    phoenix = unique("phoenix")

    for life in range(3):
        await writer.create("task", id=phoenix, title=f"life {life}", wait=False)
        await writer.update("task", phoenix, replace(points=life), wait=False)
        await writer.delete("task", phoenix, wait=False)
    await writer.create("task", id=phoenix, title="the last")

    await client.told(phoenix, 10)
    assert [version for _, version in events(client, phoenix)] == list(range(1, 11))
    await client.converged(view)
    assert view.items[phoenix]["title"] == "the last"
