"""Contract §6: resuming after a lost connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from client import NexxusClient, replace
from waiting import eventually

contract = partial(pytest.mark.contract, "6. WebSocket")


def is_error(code: str) -> Callable[[Any], bool]:
    return lambda f: f["event"] == "error" and f["data"]["code"] == code


@contract("resuming")
@pytest.mark.parametrize("orderly", [True, False])
async def test_a_device_that_resumes_receives_missed_events_in_order(
    client: NexxusClient, app: Any, new_client: Any, orderly: bool
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    task = await writer.create("task", title="x", points=0)
    await client.told(task["id"], 1)

    await (client.socket.close() if orderly else client.drop())
    for points in range(1, 6):
        await writer.update("task", task["id"], replace(points=points))
    await client.connect(resume=True)

    names = [frame["event"] for frame in client.socket.frames]
    assert names == ["register", *["model_updated"] * 5, "resume"]
    assert client.socket.frames[-1]["data"]["success"] is True
    await writer.update("task", task["id"], replace(points=6))
    await client.told(task["id"], 7)
    assert client.resyncs == view.rereads == 0
    await client.converged(view)


@contract("resuming")
async def test_a_device_that_missed_nothing_resumes_immediately(client: NexxusClient) -> None:
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    await client.drop()

    await client.connect(resume=True)

    assert [frame["event"] for frame in client.socket.frames] == ["register", "resume"]
    task = await client.create("task", title="x")
    await client.told(task["id"], 1)
    await client.converged(view)


@contract("resuming")
async def test_a_device_resumes_again_and_again(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    view = await client.subscribe("task", filter={"points": {"gt": 0}}, limit=5000)

    for number in range(5):
        await client.drop()
        task = await writer.create("task", title="x", points=number)
        await client.connect(resume=True)
        if number % 2:
            await writer.update("task", task["id"], replace(points=0))

    assert client.resyncs == 0
    await client.converged(view)


@contract("resuming")
async def test_another_devices_cursor_resumes_only_ones_own_channels(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    other = await (await new_client(app).register_device()).connect()
    await other.subscribe("task")
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    task = await other.create("task", title="x")
    mine, theirs = await client.told(task["id"], 1), await other.told(task["id"], 1)

    assert mine["data"]["metadata"]["cursor"] == theirs["data"]["metadata"]["cursor"]
    await client.drop()
    client.cursor = other.cursor
    await client.connect(resume=True)
    await client.converged(view)


@contract("resuming")
@pytest.mark.parametrize("cursor", ["", "nobody-knows-this", "x" * 1000, "0"])
async def test_an_unknown_cursor_is_answered_with_a_resync(
    client: NexxusClient, cursor: str
) -> None:
    await client.connect()
    view = await client.subscribe("task", filter={"points": 1}, limit=5000)
    await client.drop()
    await client.create("task", title="missed", points=1)

    client.cursor = cursor
    await client.connect(resume=True)

    resync = await client.wait_for("resync")
    assert resync["data"]["channels"] == [view.channel_id]
    assert isinstance(resync["data"]["cursor"], str)
    await client.settled()
    task = await client.create("task", title="live", points=1)
    await client.told(task["id"], 1)
    await client.converged(view)


@contract("resuming")
async def test_a_late_resume_is_an_error(client: NexxusClient) -> None:
    await client.connect()
    await client.subscribe("task", over="socket")

    await client.socket.send("resume", {"cursor": client.cursor or "x"})

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    assert client.socket.is_open


@contract("resuming")
async def test_a_cursor_that_is_not_a_string_is_an_error(client: NexxusClient) -> None:
    await client.connect()

    await client.socket.send("resume", {"cursor": 7})

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    assert client.socket.is_open


@contract("resuming")
async def test_a_device_that_does_not_resume_starts_without_its_subscriptions(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    gone = await client.subscribe("task", filter={"points": 1})
    await client.drop()
    client.views.clear()

    await client.connect()
    kept = await client.subscribe("task", over="socket")
    task = await writer.create("task", title="x", points=1)

    frame = await client.told(task["id"], 1)
    assert frame["data"]["metadata"]["channels"] == [kept.channel_id]
    await client.refused(
        "DELETE", "/subscription/", gone.descriptor, status=404, error="NotFoundException"
    )


@contract("resuming")
async def test_a_subscription_that_ended_meanwhile_is_not_resumed(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await (await new_client(app).register_device()).connect()
    await writer.subscribe("task", limit=5000)  # to receive the channel's events here
    await client.connect()
    kept = await client.subscribe("task", filter={"points": {"gte": 1}}, limit=100)
    gone = await client.subscribe("task", limit=100)
    await client.drop()

    async def is_silent() -> bool:
        return (await client.ok("GET", "/device"))["status"] == "offline"

    await eventually(is_silent)
    await client.unsubscribe(gone)
    task = await writer.create("task", title="x", points=1)
    await client.connect(resume=True)

    assert client.resyncs == 0
    frame = await client.told(task["id"], 1)
    assert frame["data"]["metadata"]["channels"] == [kept.channel_id]
    assert (await client.ok("GET", "/device"))["subscriptions"] == [kept.channel_id]


@contract("resuming")
async def test_a_subscription_made_over_http_before_the_first_frame_stays(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    await client.subscribe("task", filter={"points": 1})
    await client.drop()
    client.views.clear()

    await client.connect()
    over_http = await client.subscribe("task", filter={"points": {"gte": 0}})
    over_socket = await client.subscribe("task", over="socket", filter={"points": {"lte": 9}})
    task = await writer.create("task", title="x", points=1)

    frame = await client.told(task["id"], 1)
    assert set(frame["data"]["metadata"]["channels"]) == {
        over_http.channel_id,
        over_socket.channel_id,
    }
