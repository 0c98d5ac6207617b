"""What happens on one node and matters on another."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient, replace
from cluster import Cluster
from documents import open_application, signed_application
from nodes import at
from waiting import eventually

pytestmark = pytest.mark.xdist_group("cluster")

IN_FORCE_WITHIN = 5.0
"""Seconds until a change of an application is in force everywhere, at the latest."""

STAFF = {"statements": [{"effect": "Allow", "action": ["*"], "resource": ["*"]}]}


def reader_may_see(status: str) -> Any:
    return {
        "staff": STAFF,
        "reader": {
            "statements": [
                {
                    "effect": "Allow",
                    "action": ["read"],
                    "resource": ["task"],
                    "condition": {"filter": {"status": status}},
                }
            ]
        },
    }


@pytest.fixture
def app(admin: Admin) -> Any:
    return admin.create(open_application())


# Connections


@pytest.mark.contract("6. WebSocket", "resuming")
@pytest.mark.parametrize("orderly", [True, False])
async def test_a_device_that_resumes_on_another_gateway_misses_nothing(
    cluster: Cluster, app: Any, new_client: Any, orderly: bool
) -> None:
    writer = await new_client(app).register_device()
    client = await new_client(app).register_device()
    await client.connect(url=at(cluster, api=1, gateway=1).ws_url)
    everything = await client.subscribe("task", limit=5000)
    some = await client.subscribe("task", filter={"points": {"gte": 1}}, limit=5000)
    kept = await writer.create("task", title="kept", points=0)
    gone = await writer.create("task", title="gone", points=1)
    await client.converged()

    await (client.socket.close() if orderly else client.drop())
    await writer.update("task", kept["id"], replace(points=5))
    await writer.delete("task", gone["id"])
    missed = await writer.create("task", title="missed", points=2)
    await client.connect(resume=True, url=at(cluster, api=2, gateway=2).ws_url)

    assert client.resyncs == 0
    assert {f["data"]["model"]["id"] for f in client.socket.frames if "model" in f["data"]} == {
        kept["id"],
        gone["id"],
        missed["id"],
    }
    await client.converged()
    assert set(some.items) == set(everything.items) == {kept["id"], missed["id"]}
    await writer.update("task", missed["id"], replace(points=0))
    await eventually(lambda: set(some.items) == {kept["id"]})
    await client.converged()


@pytest.mark.contract("6. WebSocket", "resuming")
async def test_a_device_may_move_between_gateways_while_objects_are_written(
    cluster: Cluster, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    client = await new_client(app).register_device()
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    operations: list[str] = []
    is_moving = True

    async def write() -> None:
        while is_moving:
            task = await writer.create("task", title="x", points=0, wait=False)
            taken = await writer.update("task", task["id"], replace(points=1), wait=False)
            operations.append(taken["operationId"])

    writing = asyncio.create_task(write())
    for move in range(6):
        seen = len(view.named)
        await eventually(lambda seen=seen: len(view.named) > seen)
        await client.drop()
        await client.connect(resume=True, url=at(cluster, api=1, gateway=1 + move % 2).ws_url)
    is_moving = False
    await writing
    # Each object has a partition of its own: that the last write is applied says nothing of others.
    for operation in operations:
        await writer.decided(operation)

    await writer.create("task", title="the last one")
    await client.settled()
    await client.converged(view)
    assert client.resyncs == view.rereads == 0


@pytest.mark.contract("6. WebSocket", "resuming")
async def test_a_device_that_moves_between_gateways_gets_everything_once_and_in_order(
    cluster: Cluster, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    client = await new_client(app).register_device()
    await client.connect()
    # What is not stored can be learned from events only.
    view = await client.subscribe("cursor")
    numbers = iter(range(1_000_000))
    is_moving = True

    async def write() -> None:
        while is_moving:
            await writer.create("cursor", wait=True, id="one-and-the-same", x=next(numbers))

    writing = asyncio.create_task(write())
    for move in range(8):
        seen = len(view.transients)
        await eventually(lambda seen=seen: len(view.transients) > seen)
        await client.drop()
        await client.connect(resume=True, url=at(cluster, api=1, gateway=1 + move % 2).ws_url)
    is_moving = False
    await writing

    written = next(numbers)
    await eventually(lambda: len(view.transients) >= written)
    assert [each["x"] for each in view.transients] == list(range(written))
    assert client.resyncs == 0


@pytest.mark.contract("6. WebSocket", "registering")
@pytest.mark.parametrize("resume", [True, False])
async def test_a_connection_to_another_gateway_replaces_the_first(
    cluster: Cluster, app: Any, new_client: Any, resume: bool
) -> None:
    writer = await new_client(app).register_device()
    client = await new_client(app).register_device()
    await client.connect(url=at(cluster, api=1, gateway=1).ws_url)
    view = await client.subscribe("task", limit=5000)
    former = client.socket

    await client.connect(resume=resume, url=at(cluster, api=1, gateway=2).ws_url)

    assert await former.wait_closed() == 4003
    await client.settled()
    await writer.create("task", title="x")
    await eventually(lambda: view.items)
    await client.converged(view)
    assert client.socket.is_open


@pytest.mark.contract("6. WebSocket", "an ended session")
async def test_a_logout_over_one_node_is_one_on_all(
    cluster: Cluster, admin: Admin, new_client: Any
) -> None:
    user = await new_client(admin.create(signed_application())).register_user("ann")
    await user.connect(url=at(cluster, api=1, gateway=2).ws_url)
    await user.subscribe("task")
    user.endpoint = at(cluster, api=2, gateway=2)
    await user.ok("GET", "/user/me")
    user.endpoint = at(cluster, api=1, gateway=2)

    await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})

    assert await user.socket.wait_closed() == 4001
    user.endpoint = at(cluster, api=2, gateway=2)

    async def is_refused() -> bool:
        return (await user.send("GET", "/user/me")).status_code == 401

    await eventually(is_refused, patience=IN_FORCE_WITHIN)


@pytest.mark.contract("5. Subscriptions", "subscribing answers with the first page")
async def test_a_subscription_over_any_api_node_is_the_connections(
    cluster: Cluster, app: Any, new_client: Any
) -> None:
    client = await new_client(app).register_device()
    client.endpoint = at(cluster, api=2, gateway=2)
    await client.connect()
    client.endpoint = at(cluster, api=1, gateway=2)
    view = await client.subscribe("task", limit=10)
    client.endpoint = at(cluster, api=2, gateway=2)

    task = await client.create("task", title="x")

    await eventually(lambda: task["id"] in view.items)
    await client.unsubscribe(view)


@pytest.mark.contract("4. Models", "what only the writer can know is the operation's fate")
async def test_a_rejection_is_told_to_the_device_wherever_it_is(
    cluster: Cluster, app: Any, new_client: Any
) -> None:
    client = await new_client(app).register_device()
    client.endpoint = at(cluster, api=1, gateway=2)
    await client.connect()

    answer = await client.update("task", "nowhere", replace(title="x"), wait=False)

    await eventually(lambda: answer["operationId"] in client.rejections)
    client.endpoint = at(cluster, api=2, gateway=2)
    fate = await client.fate(answer["operationId"])
    assert fate["state"] == "rejected"


@pytest.mark.contract("2. Applications", "roles: writes need the row before and after")
async def test_what_one_node_has_taken_may_be_changed_over_another_at_once(
    cluster: Cluster, admin: Admin, new_client: Any
) -> None:
    own = {
        "effect": "Allow",
        "action": ["*"],
        "resource": ["task"],
        "condition": {"StringEquals": {"userId": ["$nxx:userId"]}},
    }
    auth = {"acl": True, "userTypes": {"default": {"roles": ["owner"]}}}
    app = admin.create(signed_application(roles={"owner": {"statements": [own]}}, auth=auth))
    ann = await new_client(app).register_user("ann")

    for _ in range(20):
        ann.endpoint = at(cluster, api=1, gateway=1)
        task = await ann.create("task", title="x", wait=False)
        ann.endpoint = at(cluster, api=2, gateway=1)
        await ann.update("task", task["id"], replace(title="y"), wait=False)
        await ann.delete("task", task["id"], wait=False)


# Applications


@pytest.mark.contract("2. Applications", "in force at once")
async def test_an_application_and_its_schema_are_in_force_on_all_nodes(
    cluster: Cluster, admin: Admin, app: Any, new_client: Any
) -> None:
    client = new_client(app)
    client.endpoint = at(cluster, api=2, gateway=2)
    await client.register_device()  # the other API node knows the application as well
    await client.connect()
    await client.refused("POST", "/model/task", {"title": "x", "colour": "red"}, "colour")

    fields = {**app["schema"]["task"]["fields"], "colour": {"type": "string", "filterable": True}}
    schema = {**app["schema"], "task": {**app["schema"]["task"], "fields": fields}}
    admin.put(app["id"], {"schema": schema})

    # Who was answered may rely on it, on every node: the API, the writer, the gateway.
    view = await client.subscribe("task", filter={"colour": "red"}, limit=10)
    task = await client.create("task", title="x", colour="red")
    await eventually(lambda: task["id"] in view.items)
    await client.converged(view)

    other = Admin(client.endpoint)
    try:
        gone = other.http.delete(f"/applications/{app['id']}")
        assert gone.is_success, gone.text
    finally:
        other.close()
    client.endpoint = at(cluster, api=1, gateway=1)
    await client.refused(
        "POST",
        "/model/count",
        {"type": "task"},
        status=404,
        error="ApplicationNotFoundException",
    )
    assert await client.socket.wait_closed() == 4001
    client.views.clear()


@pytest.mark.contract("3. Access control", "a change of roles is in force at once")
async def test_a_role_changed_over_one_node_is_in_force_on_all(
    cluster: Cluster, admin: Admin, new_client: Any
) -> None:
    auth = {
        "acl": True,
        "userTypes": {"default": {"roles": ["staff"]}, "reader": {"roles": ["reader"]}},
    }
    app = admin.create(signed_application(roles=reader_may_see("todo"), auth=auth))
    writer = await new_client(app).register_user("writer")
    reader: NexxusClient = new_client(app)
    reader.endpoint = at(cluster, api=2, gateway=2)
    await reader.register_user("reader", userType="reader")
    await reader.connect()
    view = await reader.subscribe("task", limit=5000)
    todo = await writer.create("task", title="x", status="todo")
    done = await writer.create("task", title="x", status="done")
    await eventually(lambda: set(view.items) == {todo["id"]})

    admin.put(app["id"], {"roles": reader_may_see("done")})

    await eventually(lambda: set(view.items) == {done["id"]}, patience=IN_FORCE_WITHIN)
    assert [each["id"] for each in await reader.search("task")] == [done["id"]]
    await writer.update("task", todo["id"], replace(status="done"))
    await eventually(lambda: set(view.items) == {todo["id"], done["id"]})
    await reader.converged(view)


async def test_every_node_tells_how_it_is(cluster: Cluster) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        for node in cluster:
            answer = await http.get(f"http://127.0.0.1:{node.health_port}/readyz")
            assert answer.status_code == 200, f"{node.directory.name}: {answer.text}"
