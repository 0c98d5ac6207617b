"""Contract §6: bursts of writes over one WebSocket."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, unique
from connection import Frame
from documents import guarded_application, open_application
from waiting import eventually

contract = partial(pytest.mark.contract, "6. WebSocket")


def is_of(frame: Frame, object_id: str) -> bool:
    """Return whether the frame is the creation of an object."""
    return bool(frame["event"] == "model_created" and frame["data"]["model"]["id"] == object_id)


async def send_all(client: NexxusClient, writes: list[tuple[str, Any]]) -> dict[str, Frame]:
    """Send all without waiting for replies, and return each reply's data by ref."""
    socket = client.socket
    for number, (event, data) in enumerate(writes):
        await socket.send(event, data, ref=f"burst {number}")
    replies: dict[str, Frame] = {}
    for number in range(len(writes)):
        ref = f"burst {number}"
        reply = await socket.wait_for(lambda f, r=ref: f.get("ref") == r)  # type: ignore[misc]
        replies[ref] = reply["data"]
    return replies


@contract("concurrent writes")
async def test_a_burst_of_a_thousand_writes_is_answered_stored_and_pushed(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application())
    writer = await new_client(app).register_device()
    follower = await new_client(app).register_device()
    await writer.connect()
    await follower.connect()
    view = await follower.subscribe("task", limit=5000)
    writes = [
        ("create", {"type": "task", "id": f"b{n}", "title": "x", "points": n}) for n in range(1_000)
    ]

    replies = await send_all(writer, writes)

    assert {reply["status"] for reply in replies.values()} == {202}
    assert [reply["data"]["id"] for reply in replies.values()] == [f"b{n}" for n in range(1_000)]
    assert len({reply["data"]["operationId"] for reply in replies.values()}) == 1_000
    await follower.wait_for(lambda f: is_of(f, "b999"), patience=60)
    await follower.converged(view)


@contract("concurrent writes")
async def test_a_burst_keeps_the_order_of_each_object(admin: Admin, new_client: Any) -> None:
    chance = random.Random(2026)
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    await client.connect()
    expected: dict[str, list[int]] = {}
    writes: list[tuple[str, Any]] = []
    for number in range(400):
        object_id = f"o{chance.randrange(8)}"
        about = {"type": "task", "id": object_id}
        if object_id not in expected:
            expected[object_id] = []
            writes.append(("create", {**about, "title": "x"}))
        elif chance.random() < 0.05:
            del expected[object_id]
            writes.append(("delete", about))
        else:
            expected[object_id].append(number)
            patch = {"op": "append", "path": ["scores"], "value": [number]}
            writes.append(("update", {**about, "patch": patch}))

    replies = await send_all(client, writes)

    assert {reply["status"] for reply in replies.values()} == {202}

    async def stored() -> bool:
        tasks = await client.search_all("task")
        return {task["id"]: task.get("scores", []) for task in tasks} == expected

    await eventually(stored)
    assert client.rejections == {}


@contract("concurrent writes")
async def test_a_user_limited_to_its_own_objects_may_write_them_in_a_burst(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(guarded_application())
    owner = await new_client(app).register_user(unique("owner"))
    other = await new_client(app).register_user(unique("other"))
    await owner.connect()
    await other.connect()
    own = {"type": "task", "id": "own"}
    step = {"op": "incr", "path": ["points"], "value": [1]}

    replies = await send_all(
        owner,
        [
            ("create", {**own, "title": "x", "points": 0}),
            *(("update", {**own, "patch": step}) for _ in range(20)),
        ],
    )
    assert {reply["status"] for reply in replies.values()} == {202}

    async def stored() -> bool:
        return bool((await owner.get("task", "own"))["points"] == 20)

    await eventually(stored)
    refused = await send_all(
        other, [("update", {**own, "patch": step}), ("delete", own), ("delete", {**own, "id": "x"})]
    )
    assert [reply["status"] for reply in refused.values()] == [403, 403, 403]
    assert (await owner.get("task", "own"))["points"] == 20


@contract("concurrent writes")
async def test_a_subscription_in_a_burst_includes_earlier_writes(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    await client.connect()
    before = [("create", {"type": "note", "id": f"n{n}", "text": "x"}) for n in range(50)]
    after = [("create", {"type": "note", "id": f"m{n}", "text": "x"}) for n in range(50)]
    asking = ("subscribe", {"model": "note", "limit": 5000})

    replies = await send_all(client, [*before, asking, *after])

    page = replies["burst 50"]["data"]
    items = {item["id"] for item in page["items"]}
    for number in range(50):
        await client.wait_for(lambda f, n=number: is_of(f, f"m{n}"))  # type: ignore[misc]
    pushed = {
        f["data"]["model"]["id"] for f in client.socket.frames if f["event"] == "model_created"
    }
    assert items | pushed == {f"{kind}{n}" for kind in "nm" for n in range(50)}
